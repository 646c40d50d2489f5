/**
 * Follows a WAL: reads each frame once, in large pieces, checks salts and the checksum chain, and
 * hands over whole frames in order. May import: base/.
 *
 * Invariant: `last` is the last frame that was read and verified; the chain is that frame's checksum.
 * A frame that does not continue the chain is an error here, not the end of the log: callers only ask
 * for frames that the wal-index calls committed.
 *
 * readAhead() goes further: a large transaction writes frames long before it commits. What it was
 * given may be rolled back or written again, so it counts only once the next committed frame
 * continues its checksum; else it is forgotten, and the frames are read again.
 *
 * A committed frame may have no checksum, a bug of SQLite up to 3.50.1: a savepoint is rolled back
 * behind a page that was written again in its place, and what follows keeps zeros for salts and sum.
 * Every reader goes by the wal-index and sees it; so do we, and check again from the next frame on.
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
  hasSalts,
  parseFrame,
  parseWalHeader,
  WAL_HEADER_BYTES,
  type WalHeader,
} from "./format.ts";
import type { WalIndexHeader } from "./wal_index.ts";

/** Bytes read at once, at most. */
const READ_BYTES = 256 * 1024;
/** Room for so many to begin with: a node may have hundreds of quiet databases. */
const FRAMES = 4;
const NO_SALTS = { salt1: 0, salt2: 0 } as const;

/** Gets each frame: its number, its header, and where its page lies; the buffer is reused. */
export type FrameSink = (frame: number, header: FrameHeader, buffer: Bytes, pageAt: number) => void;

export class WalReader {
  readonly #file: ByteFile;
  #buffer: Bytes = new Uint8Array(0);
  #chain: FrameChain | undefined;
  #last = 0;
  /** Frames of this log without a checksum, and whether the last one is one of them. */
  #unsummed = 0;
  #endsUnsummed = false;
  /** The last of the frames behind `last` that were read ahead, and what it is checked by. */
  #ahead: { readonly frame: number; readonly chain: FrameChain } | undefined;

  constructor(file: ByteFile) {
    this.#file = file;
  }

  /** Last frame read; 0 at the start of a log. */
  get last(): number {
    return this.#last;
  }

  /** Frames of this log that SQLite left without a checksum: a recovery would end before the first. */
  get unsummed(): number {
    return this.#unsummed;
  }

  /** Checksum of frame `last`; of the last that has one, if it has none. */
  get sum(): { readonly s1: number; readonly s2: number } {
    return { s1: this.#chain?.sum.s1 ?? 0, s2: this.#chain?.sum.s2 ?? 0 };
  }

  /**
   * True if `header` is of the log that we have been reading. Salts are not enough: a recovery that
   * finds no commit leaves page size 0 and the salts, and the next writer may keep those.
   */
  sameLog(header: WalIndexHeader): boolean {
    return isLogOf(this.#chain, header);
  }

  get salts(): { readonly salt1: number; readonly salt2: number } | undefined {
    return this.#chain && { salt1: this.#chain.salt1, salt2: this.#chain.salt2 };
  }

  /** Goes to the start of the log that `header` names; what was read ahead of it stays. */
  begin(header: WalIndexHeader): void {
    const { pageSize, salt1, salt2, bigEndian } = header;
    this.#chain = { pageSize, salt1, salt2, bigEndian, sum: { s1: 0, s2: 0 } };
    this.#last = this.#unsummed = 0;
    this.#endsUnsummed = false;
    if (!isLogOf(this.#ahead?.chain, header)) this.#ahead = undefined;
  }

  /** Goes behind the last frame of the log that `header` names: all of it was read by other means. */
  resume(header: WalIndexHeader): void {
    this.begin(header);
    const { pageSize, salt1, salt2, bigEndian, sum } = header;
    this.#chain = { pageSize, salt1, salt2, bigEndian, sum: { ...sum } };
    this.#last = header.mxFrame;
  }

  /** True if frames were handed over that are not committed yet. */
  get isAhead(): boolean {
    return this.#ahead !== undefined;
  }

  /**
   * Reads frames `last`+1 .. `upTo`, which must be committed. Those that were read ahead are not
   * handed over again; if they are not what was committed, `forget` is called, and they are.
   * @throws {LiveError} "checksum" if a frame does not continue the chain, "busy" if the WAL's own
   * header is not (yet) that of this log.
   */
  read(upTo: number, sink: FrameSink, forget: () => void = () => {}): void {
    const chain = this.#chain;
    if (chain === undefined) throw new LiveError("not_ready", "The WAL has not been opened");
    if (upTo > this.#last) {
      if (this.#last === 0) this.#readHeader(chain);
      if (this.#ahead !== undefined && !this.#isCommitted(chain, upTo)) forget();
    }
    const frameBytes = FRAME_HEADER_BYTES + chain.pageSize;
    while (this.#last < upTo) {
      const count = this.#room(upTo - this.#last, frameBytes);
      const piece = this.#buffer.subarray(0, count * frameBytes);
      this.#file.read(piece, frameOffset(this.#last + 1, chain.pageSize));
      for (let nth = 0; nth < count; nth++) {
        const at = nth * frameBytes;
        const header = checkFrame(chain, this.#buffer, at) ?? this.#withoutSum(chain, at);
        if (header === undefined) {
          const frame = this.#last + 1;
          throw new LiveError("checksum", `Frame ${frame} of the WAL does not continue its log`, {
            frame,
          });
        }
        this.#last++;
        sink(this.#last, header, this.#buffer, at + FRAME_HEADER_BYTES);
      }
    }
  }

  /**
   * Hands over up to `most` frames that follow in the log and are not committed yet, without the one
   * that commits; returns how many. What cannot be read or does not continue the log ends it.
   */
  readAhead(most: number, sink: FrameSink): number {
    const ahead = this.#ahead ?? this.#startAhead();
    if (ahead === undefined || most < 1) return 0;
    const { frame: from, chain } = ahead;
    if (!this.#hasFrame(chain, from + 1)) return 0;
    let done = 0;
    for (let wanted = 1; done < most; wanted = most - done) { // the first may be an old one
      const count = this.#room(wanted, FRAME_HEADER_BYTES + chain.pageSize);
      const handed = this.#handAhead(chain, from + done + 1, count, sink);
      done += handed;
      if (handed > 0) this.#ahead = { frame: from + done, chain }; // the next read may fail
      if (handed < count) break;
    }
    return done;
  }

  /** Where reading ahead begins; undefined while the WAL's own header is not of this log. */
  #startAhead(): { frame: number; chain: FrameChain } | undefined {
    const chain = this.#chain;
    if (chain === undefined) return undefined;
    if (this.#last > 0) return { frame: this.#last, chain: { ...chain, sum: { ...chain.sum } } };
    const found = this.ownHeader();
    // The first transaction of an empty log: the wal-index has no page size and no salts before it.
    const fits = found !== undefined && (chain.pageSize === 0 || hasSalts(chain, found));
    return fits ? { frame: 0, chain: { ...found, sum: { ...found.sum } } } : undefined;
  }

  /** Reads `count` frames; returns how many of them continue `chain` and do not commit. */
  #handAhead(chain: FrameChain, first: number, count: number, sink: FrameSink): number {
    const frameBytes = FRAME_HEADER_BYTES + chain.pageSize;
    const piece = this.#buffer.subarray(0, count * frameBytes);
    this.#file.read(piece, frameOffset(first, chain.pageSize)); // zeros behind its end
    for (let nth = 0; nth < count; nth++) {
      const at = nth * frameBytes;
      const { s1, s2 } = chain.sum;
      const header = checkFrame(chain, piece, at);
      if (header?.commit !== 0) { // its end, or the chain's, which stays where it was
        Object.assign(chain.sum, { s1, s2 });
        return nth;
      }
      sink(first + nth, header, piece, at + FRAME_HEADER_BYTES);
    }
    return count;
  }

  /** Goes to the end of what was read ahead if committed frame `upTo` goes on from it. */
  #isCommitted(chain: FrameChain, upTo: number): boolean {
    const { frame, chain: ahead } = this.#ahead!;
    const { s1, s2 } = ahead.sum;
    let goesOn = false;
    if (frame < upTo) {
      const frameBytes = FRAME_HEADER_BYTES + chain.pageSize;
      this.#room(1, frameBytes);
      const piece = this.#buffer.subarray(0, frameBytes);
      this.#file.read(piece, frameOffset(frame + 1, chain.pageSize)); // it may fail, and is asked again
      goesOn = checkFrame(ahead, piece, 0) !== undefined;
    }
    this.#ahead = undefined;
    if (goesOn) {
      Object.assign(chain.sum, { s1, s2 });
      this.#last = frame;
    }
    return goesOn;
  }

  /** True if there is a frame of this log at `frame`; whether it is whole is not asked. */
  #hasFrame(chain: FrameChain, frame: number): boolean {
    const head = new Uint8Array(FRAME_HEADER_BYTES);
    return this.#file.read(head, frameOffset(frame, chain.pageSize)) &&
      hasSalts(chain, parseFrame(head, 0).salts);
  }

  /** A committed frame that does not continue the chain, if SQLite wrote it so, and the next behind. */
  #withoutSum(chain: FrameChain, at: number): FrameHeader | undefined {
    const { salts, sum, ...header } = parseFrame(this.#buffer, at);
    const bare = hasSalts(NO_SALTS, salts) && sum.s1 === 0 && sum.s2 === 0;
    if (header.pgno === 0 || !(bare || this.#endsUnsummed && hasSalts(chain, salts))) {
      return undefined;
    }
    if (bare) this.#unsummed++;
    else Object.assign(chain.sum, sum);
    this.#endsUnsummed = bare;
    return header;
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
    const found = this.ownHeader();
    if (found === undefined || !hasSalts(chain, found)) {
      throw new LiveError("busy", "The WAL's header is not that of the wal-index: it is changing");
    }
    chain.sum.s1 = found.sum.s1;
    chain.sum.s2 = found.sum.s2;
  }

  /** The header that the WAL has now, of whichever log; undefined if it is torn or absent. */
  ownHeader(): WalHeader | undefined {
    const bytes = new Uint8Array(WAL_HEADER_BYTES);
    this.#file.read(bytes, 0);
    return parseWalHeader(bytes);
  }
}

function isLogOf(chain: FrameChain | undefined, header: WalIndexHeader): boolean {
  return chain !== undefined && hasSalts(chain, header) && chain.pageSize === header.pageSize &&
    chain.bigEndian === header.bigEndian;
}
