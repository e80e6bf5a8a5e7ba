"""Which services a function's policies let in."""

from tests.unit.lambda_.lambda_control_kit import ARN, Cloud, run

API = "arn:aws:execute-api:us-east-1:000000000000:abcdef1234"
GATEWAY = "apigateway.amazonaws.com"


def test_a_service_may_call_what_a_statement_says(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            await cloud.active(Publish=True)
            allows = cloud.control.permissions.allows

            def may(
                arn=ARN + "f", *, principal=GATEWAY, source=f"{API}/prod/GET/pets", account="000000000000"
            ):
                return allows(arn, principal=principal, source_arn=source, source_account=account)

            assert not may()
            given = {"FunctionName": "f", "Action": "lambda:InvokeFunction", "Principal": GATEWAY}
            await cloud.call("AddPermission", **given, StatementId="api", SourceArn=f"{API}/*/GET/*")
            assert may()
            assert not may(source=f"{API}/prod/POST/pets")
            assert not may(principal="s3.amazonaws.com")
            assert not may(ARN + "f:1")
            assert not may(ARN + "f:$LATEST")
            assert not may(ARN + "g")
            assert not may("f")
            await cloud.call(
                "AddPermission", **given, StatementId="acc", Qualifier="1", SourceAccount="111122223333"
            )
            assert may(ARN + "f:1", account="111122223333")
            assert not may(ARN + "f:1")
            await cloud.call("RemovePermission", FunctionName="f", StatementId="api")
            assert not may()
            await cloud.call(
                "AddPermission", FunctionName="f", StatementId="all", Action="lambda:*", Principal="*"
            )
            assert may(principal="s3.amazonaws.com", source="arn:aws:s3:::b")
            await cloud.call("DeleteFunction", FunctionName="f")
            assert not may()

    run(main)
