"""HTTP APIs: routes, events, mappings, CORS, and a compiled stage that answers with them."""
