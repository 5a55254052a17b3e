# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # repo and cache are common.sh's
# Machines for the guest: which PCI topology, and what the kernel grants on it.
# docs/topologies.md tells why.

machines=(soft p2p p2p-two p2p-virtio-iommu p2p-switch no-p2p)

known_machine() {
	[[ " ${machines[*]} " == *" $1 "* ]] || misuse "no machine '$1'; there are: ${machines[*]}"
}

vram_function() {
	echo -object "memory-backend-memfd,id=vram,size=$1,share=on" \
		-device "ivshmem-plain,memdev=vram,id=vram0,bus=$2"
}

# edu_function BUS [ID]
edu_function() {
	echo -device "edu,id=${2:-edu0},bus=$1,dma_mask=0xffffffffffffffff"
}

# disk_function BUS FILE: a drive whose DMA engine is a master of the bus
disk_function() {
	echo -drive "if=none,id=disk,format=raw,cache=unsafe,file=$2" \
		-device "nvme,drive=disk,serial=disk,bus=$1"
}

# memory_function BUS: another drive, which has memory of its own that others may use; it
# forgets what is written to it
memory_function() {
	echo -drive "if=none,id=memory,driver=null-co,size=64M,read-zeroes=on,snapshot=on" \
		-device "nvme,drive=memory,serial=memory,cmb_size_mb=16,bus=$1"
}

# network_function NODE SOCKET: one end of a wire between two machines; the second one's listens
network_function() {
	echo -netdev "stream,id=net,addr.type=unix,addr.path=$2,server=$([ "$1" = 2 ] && echo on || echo off)" \
		-device "virtio-net-pci,netdev=net,host_mtu=9000,mac=52:54:00:00:00:0$1"
}

root_ports() {
	echo -device pcie-root-port,id=port1,chassis=1,slot=1 \
		-device pcie-root-port,id=port2,chassis=2,slot=2 \
		-device pcie-root-port,id=port4,chassis=4,slot=4 \
		-device pcie-root-port,id=port5,chassis=5,slot=5
}

# machine_devices MACHINE VRAM DISK: QEMU's arguments; DISK is a file
machine_devices() {
	case $1 in
	soft)
		echo -cpu max "$(disk_function pcie.0 "$3")"
		;;
	p2p)
		echo -cpu max,family=23 -device intel-iommu -device bochs-display "$(root_ports)" \
			"$(vram_function "$2" port1)" "$(edu_function port2)" \
			"$(disk_function port4 "$3")" "$(memory_function port5)"
		;;
	p2p-two)
		machine_devices p2p "$2" "$3"
		echo -device pcie-root-port,id=port3,chassis=3,slot=3 "$(edu_function port3 edu1)"
		;;
	p2p-virtio-iommu)
		echo -cpu max,family=23 -device virtio-iommu-pci "$(root_ports)" \
			"$(vram_function "$2" port1)" "$(edu_function port2)" \
			"$(disk_function port4 "$3")" "$(memory_function port5)"
		;;
	p2p-switch)
		echo -cpu max -device pcie-root-port,id=port1,chassis=1,slot=1 \
			-device x3130-upstream,id=up1,bus=port1 \
			-device xio3130-downstream,id=down1,bus=up1,chassis=3,slot=3 \
			-device xio3130-downstream,id=down2,bus=up1,chassis=4,slot=4 \
			-device xio3130-downstream,id=down3,bus=up1,chassis=5,slot=5 \
			-device xio3130-downstream,id=down4,bus=up1,chassis=6,slot=6 \
			"$(vram_function "$2" down1)" "$(edu_function down2)" \
			"$(disk_function down3 "$3")" "$(memory_function down4)"
		;;
	no-p2p)
		echo -cpu max "$(root_ports)" "$(vram_function "$2" port1)" "$(edu_function port2)" \
			"$(disk_function port4 "$3")" "$(memory_function port5)"
		;;
	esac
}

# Kernel parameters: strict, so that an address is dead as soon as it is unmapped.
machine_cmdline() {
	case $1 in
	p2p | p2p-two) echo "intel_iommu=on iommu.strict=1" ;;
	p2p-virtio-iommu) echo "iommu.strict=1" ;;
	esac
}

# Module parameters of vvram.
machine_vvram_params() {
	[ "$1" = soft ] && echo "soft=1 vram_size=$2"
	return 0
}

# A guest that only says that it got as far as its first process.
probe_kvm() {
	timeout 30 qemu-system-x86_64 -M q35 -accel kvm -cpu max -m 512 -nodefaults \
		-display none -no-reboot -serial stdio -kernel "$1" -initrd "$2" \
		-append "console=ttyS0 quiet panic=-1 movable_dmabuf_probe" </dev/null 2>/dev/null |
		grep -q movable-dmabuf-probe-ok
}

# machine_accel IMAGE INITRAMFS: KVM only where the CPU has it and a guest really
# starts: some machines show a /dev/kvm that only fails. Probed once a boot.
machine_accel() {
	local known

	known=$cache/accel-$(cat /proc/sys/kernel/random/boot_id)
	if [ ! -s "$known" ]; then
		if grep -qE '^flags.*\b(vmx|svm)\b' /proc/cpuinfo && [ -w /dev/kvm ] &&
			probe_kvm "$1" "$2"; then
			echo kvm >"$known"
		else
			echo tcg,thread=multi >"$known"
		fi
	fi
	cat "$known"
}
