"""The five tools of the method, as MCP servers, with their backends."""
