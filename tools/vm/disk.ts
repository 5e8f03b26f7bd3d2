/** Makes a disk image with one partition out of a folder, without mounting anything. */
import { runProgram } from "../run_program.ts";

const MIB = 1024 ** 2;

/** The partition begins at 1 MiB, as partitioning tools align it. */
const PARTITION_OFFSET_BYTES = MIB;

const SECTOR_BYTES = 512;

/**
 * Writes a disk image: a partition table with one partition, so that the disk and what the root
 * filesystem is on have different numbers, as on most hosts.
 *
 * @param image The image's path; what is there is replaced.
 * @param folder The filesystem's contents.
 * @param sizeMib The disk's size in MiB.
 */
export async function makeDisk(image: string, folder: string, sizeMib: number): Promise<void> {
  await Deno.remove(image).catch(() => {});
  await Deno.writeFile(image, new Uint8Array());
  await Deno.truncate(image, sizeMib * MIB);
  const blocks = sizeMib * MIB / 4096 - PARTITION_OFFSET_BYTES / 4096;
  await runProgram("mke2fs", [
    ...["-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-L", "guest"],
    ...["-E", `offset=${PARTITION_OFFSET_BYTES},root_owner=0:0`],
    ...["-d", folder, image, String(blocks)],
  ]);
  using file = await Deno.open(image, { write: true });
  await file.write(partitionTable(sizeMib));
}

/** A master boot record whose only entry is a Linux partition over the rest of the disk. */
function partitionTable(sizeMib: number): Uint8Array {
  const sector = new Uint8Array(SECTOR_BYTES);
  const view = new DataView(sector.buffer);
  const entry = 446;
  const linuxFilesystem = 0x83;
  sector[entry + 4] = linuxFilesystem;
  view.setUint32(entry + 8, PARTITION_OFFSET_BYTES / SECTOR_BYTES, true);
  view.setUint32(entry + 12, (sizeMib * MIB - PARTITION_OFFSET_BYTES) / SECTOR_BYTES, true);
  view.setUint16(SECTOR_BYTES - 2, 0xaa55, true);
  return sector;
}
