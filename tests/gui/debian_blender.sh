#!/bin/bash
# Debian's newest Blender in a folder of its own, for tests/gui: sudo bash tests/gui/debian_blender.sh FOLDER
# Prints the program to name in GSHEAD_BLENDER_GUI. Needs root, debootstrap and some 3 GB.
set -euo pipefail
root=$(realpath -m "${1:?a folder for Debian}")
if [ ! -x "$root/usr/bin/blender" ]; then
    debootstrap --variant=minbase sid "$root"
    chroot "$root" apt-get install -y blender python3-numpy python3-cattr python3-requests libgl1-mesa-dri libegl1 xdotool
fi
cat > "$root/blender" <<EOF
#!/bin/bash
# Blender inside, with the folders, the environment and the working directory of outside
for folder in proc sys dev tmp root home "$PWD"; do
    folder=/\${folder#/}
    mkdir -p "$root\$folder"
    mountpoint -q "$root\$folder" || mount --rbind "\$folder" "$root\$folder"
done
variables=()
while IFS='=' read -r -d '' name value; do variables+=("\$name=\$value"); done < /proc/self/environ
exec chroot "$root" env -i "\${variables[@]}" sh -c 'cd "\$0" 2>/dev/null || cd /; exec /usr/bin/blender "\$@"' "\$PWD" "\$@"
EOF
chmod +x "$root/blender"
echo "$root/blender"
