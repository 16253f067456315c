/** A value that is made when it is asked for, and not again within a time: however many ask, the work is bounded. */
export class Remembered<T> {
  readonly #age: number;
  readonly #make: () => T;
  readonly #now: () => number;
  #known: { readonly value: T; readonly at: number } | null = null;

  /**
   * @param age ms; 0 = it is made each time
   * @param now monotonic time, ms
   */
  constructor(age: number, make: () => T, now: () => number = () => performance.now()) {
    this.#age = age;
    this.#make = make;
    this.#now = now;
  }

  /** The value, at most `age` old. */
  get value(): T {
    const now = this.#now();
    if (this.#known === null || this.#age === 0 || now - this.#known.at >= this.#age)
      this.#known = { value: this.#make(), at: now };
    return this.#known.value;
  }
}
