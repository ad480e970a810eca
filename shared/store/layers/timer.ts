/** How layers wait: given to them, so that a simulation decides when time passes. */

export interface Timer {
  /** Runs once after so many milliseconds, unless the answer is called before. */
  after(ms: number, run: () => void): () => void;
}
