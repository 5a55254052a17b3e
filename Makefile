# SPDX-License-Identifier: GPL-2.0
KDIR ?= /lib/modules/$(shell uname -r)/build
# Of rdma-core's source, for the provider of libibverbs.
RDMA_CORE ?= $(or $(MOVABLE_DMABUF_CACHE),$(HOME)/.cache/movable-dmabuf)/rdma-core

help:
	@echo 'make modules   build vvram.ko, vrnic.ko and vrnic_verbs.ko for the kernel of KDIR'
	@echo 'make install   install them there (as root)'
	@echo 'make provider  build the provider of libibverbs, with the headers in RDMA_CORE'
	@echo 'make demo      watch a buffer move under an importer, in a VM'
	@echo 'make check     build for all kernels, run all tests, in VMs'
	@echo 'make lint      static checks'
	@echo 'make debug-check   all tests on a kernel that watches, churn, fuzzing'
	@echo 'make soak HOURS=N  churn on that kernel for N hours'
	@echo 'make bench     figures, and what they are compared with'
	@echo 'make bench-compare OLD=FILE NEW=FILE  what changed between two bench.json'
	@echo 'make vm-shell  a shell in a VM with both modules loaded'
	@echo 'make clean     remove what make modules left'

modules clean:
	$(MAKE) -C $(KDIR) M=$(CURDIR) $@

install: modules
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules_install

provider:
	$(MAKE) -C provider RDMA_CORE=$(RDMA_CORE)

install-provider:
	$(MAKE) -C provider RDMA_CORE=$(RDMA_CORE) install

demo:
	tools/demo/run

check:
	tools/check

lint:
	tools/lint

debug-check:
	tools/debug-check

soak:
	tools/soak

bench:
	tools/bench/run

bench-compare:
	tools/bench/run compare $(OLD) $(NEW)

vm-shell:
	tools/vm shell

.PHONY: help modules clean install provider install-provider demo check lint debug-check soak bench bench-compare vm-shell
