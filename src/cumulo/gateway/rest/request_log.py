"""The lines of an execution log that tell of a request, before anything is done with it."""

from cumulo.gateway.rest.call import Call
from cumulo.gateway.rest.guarding import covered
from cumulo.gateway.rest.log import Log
from cumulo.gateway.rest.proxy_event import path_of


def tell_request(call: Call, log: Log) -> None:
    """Starting execution, method, path, and (where data is traced) parameters, headers and body."""
    if not log.on:
        return
    context = call.context
    log.tell(f"Starting execution for request: {context['requestId']}")
    log.tell(f"HTTP Method: {context['httpMethod']}, Resource Path: {path_of(call.visit)}")
    key = context["identity"].get("apiKey")
    if key and call.method.api_key_required:
        log.tell(f"API Key: {covered(key)}")
        log.tell(f"API Key ID: {context['identity'].get('apiKeyId', '')}")
    if log.trace:
        log.data("Method request path", call.path_parameters)
        log.data("Method request query string", call.single_query())
        log.headers("Method request headers", call.shown_headers().items())
        log.data("Method request body before transformations", call.body)
