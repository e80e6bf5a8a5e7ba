#!/bin/sh
# remove.sh: all that deploy.sh made.
set -eu
aws() { ${AWS:-aws} --output text "$@"; }

for service in front app; do
  aws ecs delete-service --cluster guestbook --service "$service" --force --query service.status
done
aws ecs wait services-inactive --cluster guestbook --services front app
aws ecs delete-cluster --cluster guestbook --query cluster.status
aws elbv2 delete-load-balancer --load-balancer-arn \
  "$(aws elbv2 describe-load-balancers --names guestbook --query 'LoadBalancers[0].LoadBalancerArn')"
aws elbv2 delete-target-group --target-group-arn \
  "$(aws elbv2 describe-target-groups --names guestbook --query 'TargetGroups[0].TargetGroupArn')"
aws efs delete-file-system --file-system-id \
  "$(aws efs describe-file-systems --creation-token guestbook --query 'FileSystems[0].FileSystemId')"
aws secretsmanager delete-secret --secret-id guestbook/store --force-delete-without-recovery --query Name
aws ssm delete-parameter --name /guestbook/signature
aws ecr delete-repository --repository-name guestbook --force --query repository.repositoryName
aws logs delete-log-group --log-group-name guestbook
