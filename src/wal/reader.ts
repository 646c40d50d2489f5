/**
 * Follows a WAL: reads each frame once, in large pieces, checks salts and the checksum chain, and
 * hands over whole frames in order. May import: base/.
 *
 * Invariant: `last` is the last frame that was read and verified; the chain is that frame's checksum.
 * A frame that does not continue the chain is an error here, not the end of the log: callers only ask
 * for frames that the wal-index calls committed.
 * @module
 */
import type { Bytes } from "../base/bytes.ts";
import { LiveError } from "../base/errors.ts";
import type { ByteFile } from "../base/io.ts";
import {
  checkFrame,
  FRAME_HEADER_BYTES,
  type FrameChain,
  type FrameHeader,
  frameOffset,
  parseWalHeader,
  WAL_HEADER_BYTES,
} from "./format.ts";
import type { WalIndexHeader } from "./wal_index.ts";

/** Bytes read at once, at most. */
const READ_BYTES = 256 * 1024;
/** Room for so many to begin with: a node may have hundreds of quiet databases. */
const FRAMES = 4;

/** Gets each frame: its number, its header, and where its page lies; the buffer is reused. */
export type FrameSink = (frame: number, header: FrameHeader, buffer: Bytes, pageAt: number) => void;

export class WalReader {
  readonly #file: ByteFile;
  #buffer: Bytes = new Uint8Array(0);
  #chain: FrameChain | undefined;
  #last = 0;

  constructor(file: ByteFile) {
    this.#file = file;
  }

  /** Last frame read; 0 at the start of a log. */
  get last(): number {
    return this.#last;
  }

  /** Checksum of frame `last`. */
  get sum(): { readonly s1: number; readonly s2: number } {
    return { s1: this.#chain?.sum.s1 ?? 0, s2: this.#chain?.sum.s2 ?? 0 };
  }

  /**
   * True if `header` is of the log that we have been reading. Salts are not enough: a recovery that
   * finds no commit leaves page size 0 and the salts, and the next writer may keep those.
   */
  sameLog(header: WalIndexHeader): boolean {
    const chain = this.#chain;
    return chain !== undefined && chain.salt1 === header.salt1 && chain.salt2 === header.salt2 &&
      chain.pageSize === header.pageSize && chain.bigEndian === header.bigEndian;
  }

  get salts(): { readonly salt1: number; readonly salt2: number } | undefined {
    return this.#chain && { salt1: this.#chain.salt1, salt2: this.#chain.salt2 };
  }

  /** Goes to the start of the log that `header` names. */
  begin(header: WalIndexHeader): void {
    const { pageSize, salt1, salt2, bigEndian } = header;
    this.#chain = { pageSize, salt1, salt2, bigEndian, sum: { s1: 0, s2: 0 } };
    this.#last = 0;
  }

  /** Goes behind the last frame of the log that `header` names: all of it was read by other means. */
  resume(header: WalIndexHeader): void {
    this.begin(header);
    const { pageSize, salt1, salt2, bigEndian, sum } = header;
    this.#chain = { pageSize, salt1, salt2, bigEndian, sum: { ...sum } };
    this.#last = header.mxFrame;
  }

  /**
   * Reads frames `last`+1 .. `upTo`, which must be committed.
   * @throws {LiveError} "checksum" if a frame does not continue the chain, "busy" if the WAL's own
   * header is not (yet) that of this log.
   */
  read(upTo: number, sink: FrameSink): void {
    const chain = this.#chain;
    if (chain === undefined) throw new LiveError("not_ready", "The WAL has not been opened");
    if (this.#last === 0 && upTo > 0) this.#readHeader(chain);
    const frameBytes = FRAME_HEADER_BYTES + chain.pageSize;
    while (this.#last < upTo) {
      const count = this.#room(upTo - this.#last, frameBytes);
      const piece = this.#buffer.subarray(0, count * frameBytes);
      this.#file.read(piece, frameOffset(this.#last + 1, chain.pageSize));
      for (let nth = 0; nth < count; nth++) {
        const header = checkFrame(chain, this.#buffer, nth * frameBytes);
        if (header === undefined) {
          const frame = this.#last + 1;
          throw new LiveError("checksum", `Frame ${frame} of the WAL does not continue its log`, {
            frame,
          });
        }
        this.#last++;
        sink(this.#last, header, this.#buffer, nth * frameBytes + FRAME_HEADER_BYTES);
      }
    }
  }

  /** How many of `wanted` frames are read next; the buffer has room for them. */
  #room(wanted: number, frameBytes: number): number {
    const most = Math.max(1, Math.floor(READ_BYTES / frameBytes));
    const count = Math.min(wanted, most);
    if (this.#buffer.length < count * frameBytes) {
      const frames = Math.min(most, Math.max(FRAMES, 2 * count));
      this.#buffer = new Uint8Array(frames * frameBytes);
    }
    return count;
  }

  #readHeader(chain: FrameChain): void {
    const bytes = new Uint8Array(WAL_HEADER_BYTES);
    this.#file.read(bytes, 0);
    const found = parseWalHeader(bytes);
    if (found === undefined || found.salt1 !== chain.salt1 || found.salt2 !== chain.salt2) {
      throw new LiveError("busy", "The WAL's header is not that of the wal-index: it is changing");
    }
    chain.sum.s1 = found.sum.s1;
    chain.sum.s2 = found.sum.s2;
  }
}
