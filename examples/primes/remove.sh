#!/bin/sh
# remove.sh: all that submit.sh made.
set -eu
aws() { ${AWS:-aws} --output text "$@"; }
gone() { while [ "$(aws batch "$@")" != 0 ]; do sleep 0.5; done; }
settled() { while [ "$(aws batch "$@" --query '*[0].status')" = UPDATING ]; do sleep 0.5; done; }

aws batch update-job-queue --job-queue primes --state DISABLED --query jobQueueName
settled describe-job-queues --job-queues primes
aws batch delete-job-queue --job-queue primes
gone describe-job-queues --job-queues primes --query 'length(jobQueues)'
aws batch update-compute-environment --compute-environment primes --state DISABLED --query computeEnvironmentName
settled describe-compute-environments --compute-environments primes
aws batch delete-compute-environment --compute-environment primes
gone describe-compute-environments --compute-environments primes --query 'length(computeEnvironments)'
aws batch deregister-job-definition --job-definition primes:1
aws efs delete-file-system --file-system-id \
  "$(aws efs describe-file-systems --creation-token primes --query 'FileSystems[0].FileSystemId')"
aws ecr delete-repository --repository-name primes --force --query repository.repositoryName
