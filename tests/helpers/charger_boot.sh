#!/bin/bash
# Becomes the first process of a machine of its own: the root file system of this one with a layer of changes on top,
# and a real systemd. Started by `charger.py` inside new namespaces. $1 lower layers, $2 changes, $3 work folder, $4 root,
# $5 and $6 folders that must be seen in it
set -e
mount -t overlay overlay "$4" -o "lowerdir=$1,upperdir=$2,workdir=$3"
cd "$4"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,ro,bind proc/sys # the kernel is everybody's
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup sys/fs/cgroup
mount -t tmpfs tmpfs run -o mode=755
mount -t tmpfs tmpfs tmp -o mode=1777
mount -t tmpfs tmpfs dev -o mode=755
# What the scripts of this folder need lies under /tmp when the repository was cloned there.
for folder in "$5" "$6"; do
    [ -e ".$folder" ] || { mkdir -p ".$folder" && mount --bind "$folder" ".$folder"; }
done
# Nodes of its own: systemd takes the console for itself, and that would change the mode of this machine's /dev/null.
while read -r name major minor; do
    mknod -m 666 "dev/$name" c "$major" "$minor" || { touch "dev/$name" && mount --bind "/dev/$name" "dev/$name"; }
done <<'X'
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
X
mkdir dev/shm dev/pts
mount -t devpts devpts dev/pts -o newinstance,ptmxmode=666
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mknod -m 600 dev/console c 1 3 || touch dev/console
# Nothing of this machine's own services, only what a charger needs.
[ -e etc/charger ] || rm -rf etc/systemd/system/*.wants etc/systemd/system/*.requires
touch etc/charger
[ -s etc/machine-id ] || echo 0123456789abcdef0123456789abcdef >etc/machine-id
mkdir -p old_root
for unit in systemd-sysctl.service systemd-modules-load.service systemd-remount-fs.service systemd-logind.service \
    console-getty.service getty.target dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount \
    sys-kernel-tracing.mount sys-fs-fuse-connections.mount; do
    ln -sf /dev/null "etc/systemd/system/$unit"
done
cat >etc/systemd/system/charger.target <<'X'
[Unit]
Requires=multi-user.target
After=multi-user.target
AllowIsolate=yes
X
pivot_root . old_root
umount -l /old_root
export container=charger
exec /lib/systemd/systemd --log-target=null --unit=charger.target
