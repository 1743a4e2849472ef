"""Services on other machines: what their clients share, whichever service it is. Nothing here is loaded unless one is chosen.

options.py     where it is, which key, how patient; the key itself comes from the environment and is never stored
failures.py    what a service's error means, and retries with backoff
costs.py       tokens and pictures -> US dollars, by the price table of the settings
pictures.py    photos as PNG bytes and as content of a chat message
chat.py        any LangChain chat model: asked for text, tool calls, or an answer in a fixed shape
"""
