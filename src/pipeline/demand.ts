// SPDX-License-Identifier: Apache-2.0
import { combineLatest, distinctUntilChanged, map, type Observable, of, shareReplay } from "rxjs";

/** True only while everything downstream has room. Replays its last value. */
export function allReady(flags: readonly Observable<boolean>[]): Observable<boolean> {
  if (flags.length === 0) return of(true);
  return combineLatest(flags).pipe(
    map((values) => values.every(Boolean)),
    distinctUntilChanged(),
    shareReplay({ bufferSize: 1, refCount: true }),
  );
}
