"""AWS's protocols: each compiles an operation of a model into a parser of requests and a renderer of answers."""
