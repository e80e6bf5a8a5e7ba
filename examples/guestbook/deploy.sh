#!/bin/sh
# deploy.sh: everything.  deploy.sh front|app: another revision of one service.  VERSION says which version the front is.
# AWS names the AWS CLI, CUMULO ours, PORT the port of the load balancer's listener.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
aws() { ${AWS:-aws} --output text "$@"; }

register() { # FAMILY
  mounted=$(aws efs describe-file-systems --creation-token guestbook --query 'FileSystems[0].FileSystemId')
  aws ecs register-task-definition --query taskDefinition.taskDefinitionArn --cli-input-json "$(
    sed -e "s/fs-00000000/$mounted/" -e "s/\"VERSION\", \"value\": \"1\"/\"VERSION\", \"value\": \"${VERSION:-1}\"/" \
      "$here/$1.json"
  )"
}

if [ $# = 1 ]; then
  aws ecs update-service --cluster guestbook --service "$1" --task-definition "$(register "$1")" --query service.serviceName
  aws ecs wait services-stable --cluster guestbook --services "$1"
  exit
fi

archive=$(mktemp)
trap 'rm -f "$archive"' EXIT
"$here/build.sh" "$archive"
${CUMULO:-cumulo} image import "$archive"
aws ssm put-parameter --name /guestbook/signature --type SecureString --value "Yours, the guestbook" --query Version
aws secretsmanager create-secret --name guestbook/store --query Name --secret-string '{"password": "open-sesame"}'
aws efs create-file-system --creation-token guestbook --query FileSystemId

subnets=$(aws ec2 describe-subnets --query 'Subnets[:2].SubnetId')
vpc=$(aws ec2 describe-subnets --query 'Subnets[0].VpcId')
# shellcheck disable=SC2086 # several words
balancer=$(aws elbv2 create-load-balancer --name guestbook --subnets $subnets --query 'LoadBalancers[0].LoadBalancerArn')
group=$(aws elbv2 create-target-group --name guestbook --protocol HTTP --port 8080 --target-type ip --vpc-id "$vpc" \
  --health-check-path /health --health-check-interval-seconds 5 --health-check-timeout-seconds 3 \
  --healthy-threshold-count 2 --query 'TargetGroups[0].TargetGroupArn')
aws elbv2 modify-target-group-attributes --target-group-arn "$group" --query 'Attributes[0].Key' \
  --attributes Key=deregistration_delay.timeout_seconds,Value=5
aws elbv2 create-listener --load-balancer-arn "$balancer" --protocol HTTP --port "${PORT:-8080}" \
  --default-actions "Type=forward,TargetGroupArn=$group" --query 'Listeners[0].ListenerArn'

aws ecs create-cluster --cluster-name guestbook --query cluster.clusterName \
  --service-connect-defaults namespace=guestbook
network="awsvpcConfiguration={subnets=[$(echo "$subnets" | tr '[:space:]' ,)],assignPublicIp=ENABLED}"
network=$(echo "$network" | sed 's/,]/]/')
breaker='deploymentCircuitBreaker={enable=true,rollback=true}'
aws ecs create-service --cluster guestbook --service-name app --task-definition "$(register app)" --desired-count 2 \
  --launch-type FARGATE --network-configuration "$network" --deployment-configuration "$breaker" --query service.serviceName \
  --service-connect-configuration 'enabled=true,services=[{portName=http,clientAliases=[{port=8080,dnsName=app}]}]'
aws ecs create-service --cluster guestbook --service-name front --task-definition "$(register front)" --desired-count 2 \
  --launch-type FARGATE --network-configuration "$network" --deployment-configuration "$breaker" --query service.serviceName \
  --service-connect-configuration enabled=true \
  --load-balancers "targetGroupArn=$group,containerName=front,containerPort=8080"
aws ecs wait services-stable --cluster guestbook --services app front
name=$(aws elbv2 describe-load-balancers --names guestbook --query 'LoadBalancers[0].DNSName')
echo "http://$name:${PORT:-8080}/"
