"""OpenAPI documents and what APIs are, one made of the other.  Pure: no store, no clock, no network.

bytes ──texts──▶ tree ──documents, operations──▶ what a document says, 2.0 and 3.0 alike
                                                   ├── rest/reading ──▶ RestDefinition ──rest/writing──▶ tree
                                                   └── http/reading ──▶ V2Definition ──http/writing──▶ tree

What cannot be at all is a BadRequestException; what AWS goes on without is a warning (notes.py).
"""
