#!/bin/sh
# What a process has open, by kind: a plugin that ends, and is asked again at every interval.
#
#   argus gaze --process NAME --plugin ./descriptors.sh
set -eu

folder=/proc/$ARGUS_PID/fd
if [ ! -r "$folder" ]; then
    echo "cannot look into $folder: no such process, or another user's" >&2
    exit 1
fi
ls -l "$folder" | awk '
    / -> socket:/     { sockets++; next }
    / -> pipe:/       { pipes++; next }
    / -> anon_inode:/ { inodes++; next }
    / -> /            { files++ }
    END {
        printf "descriptors{kind=\"socket\"} %d\n", sockets
        printf "descriptors{kind=\"pipe\"} %d\n", pipes
        printf "descriptors{kind=\"anonymous\"} %d\n", inodes
        printf "descriptors{kind=\"file\"} %d\n", files
    }'
