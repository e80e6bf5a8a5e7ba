#!/bin/sh
# submit.sh: the environment, the queue, the definition, three jobs; prints the id of the last one.
# AWS names the AWS CLI, CUMULO ours.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
aws() { ${AWS:-aws} --output text "$@"; }

valid() { # OPERATION OPTIONS...
  until [ "$(aws batch "$@" --query '*[0].status')" = VALID ]; do sleep 0.5; done
}

if [ "$(aws batch describe-job-queues --job-queues primes --query 'length(jobQueues)')" = 0 ]; then
  archive=$(mktemp)
  trap 'rm -f "$archive"' EXIT
  "$here/build.sh" "$archive"
  ${CUMULO:-cumulo} image import "$archive" >&2
  aws efs create-file-system --creation-token primes --query FileSystemId >&2
  subnet=$(aws ec2 describe-subnets --query 'Subnets[0].SubnetId')
  group=$(aws ec2 describe-security-groups --query 'SecurityGroups[0].GroupId')
  aws batch create-compute-environment --compute-environment-name primes --type MANAGED --query computeEnvironmentName \
    --compute-resources "type=FARGATE,maxvCpus=4,subnets=[$subnet],securityGroupIds=[$group]" >&2
  valid describe-compute-environments --compute-environments primes
  aws batch create-job-queue --job-queue-name primes --priority 1 --query jobQueueName \
    --compute-environment-order order=1,computeEnvironment=primes >&2
  valid describe-job-queues --job-queues primes
  files=$(aws efs describe-file-systems --creation-token primes --query 'FileSystems[0].FileSystemId')
  aws batch register-job-definition --query jobDefinitionName \
    --cli-input-json "$(sed "s/fs-00000000/$files/" "$here/job.json")" >&2
fi

submit() { # STEP OPTIONS...
  step=$1
  shift
  aws batch submit-job --job-name "$step" --job-queue primes --job-definition primes --parameters "step=$step" \
    --query jobId "$@"
}

found=$(submit find --array-properties size=8)
counted=$(submit count --array-properties size=8 --depends-on "jobId=$found,type=N_TO_N")
submit total --depends-on "jobId=$counted"
