"""JSONPath as Jayway's library understands it, which is what $input.path and $input.json speak: compiled, and bounded."""
