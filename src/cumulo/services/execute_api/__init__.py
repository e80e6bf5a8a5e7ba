"""API Gateway's management API (`apigatewaymanagementapi`), for clients that name no API: connection ids are unique."""
