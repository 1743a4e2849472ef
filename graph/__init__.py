"""The agent: a LangGraph state machine whose nodes call the five tools over MCP."""
