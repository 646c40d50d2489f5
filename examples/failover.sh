#!/bin/sh
# Whoever holds the lock is the primary: run this beside the node of each replica that may become one.
# It waits for the lock, promotes, and keeps the lock for as long as this script runs.
#
#   failover.sh /shared/db.lock /etc/litestream-live.yml
#
# flock stands for your lock service. The same with Consul:
#   consul lock litestream/db sh -c 'litestream-live promote -config FILE && exec sleep infinity'
# With Kubernetes, run the promotion from the hook of a Lease's leader election.
#
# The lock must end with its holder: the old primary's machine holds it too, beside its own node, and
# stops the application when it loses it. Nothing here can stop an application that goes on writing.
set -eu
lock=$1
config=$2
exec 9>>"$lock"
flock 9
litestream-live promote -config "$config"
echo "promoted: this is the primary"
exec sleep infinity
