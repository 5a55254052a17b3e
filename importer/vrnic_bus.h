/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_BUS_H
#define VRNIC_BUS_H

#include <linux/iosys-map.h>
#include <linux/types.h>

struct device;
struct vrnic_aperture;
struct vrnic_segment;

/* Address ranges beyond RAM that one mapping may touch. */
#define VRNIC_MAX_APERTURES	4

/**
 * struct vrnic_bus_view - what a device on the bus can reach, for the CPU engine
 */
struct vrnic_bus_view {
	/** @ram_pfn: Page of RAM that was found last; zero is none of ours. */
	unsigned long ram_pfn;
	/** @nr: Entries in @aperture. */
	unsigned int nr;
	/** @aperture: BARs that were opened for the addresses of one mapping. */
	struct vrnic_aperture *aperture[VRNIC_MAX_APERTURES];
};

int vrnic_bus_init(void);
void vrnic_bus_fini(void);
phys_addr_t vrnic_bus_to_phys(struct device *dev, dma_addr_t addr);
bool vrnic_bus_is_ram(phys_addr_t phys);
bool vrnic_bus_is_bar(dma_addr_t addr);
bool vrnic_bus_is_translated(struct device *dev);
int vrnic_bus_open_phys(struct vrnic_bus_view *view, phys_addr_t phys);
int vrnic_bus_adopt(struct vrnic_bus_view *view, struct vrnic_bus_view *more);
int vrnic_bus_open(struct vrnic_bus_view *view, struct device *dev, dma_addr_t addr);
void vrnic_bus_close(struct vrnic_bus_view *view);
u64 vrnic_bus_resolve(struct vrnic_bus_view *view, struct device *dev,
		      struct vrnic_segment *seg, u64 pos, u64 len, struct iosys_map *map);

#endif /* VRNIC_BUS_H */
