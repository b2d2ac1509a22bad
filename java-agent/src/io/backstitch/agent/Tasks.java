// SPDX-License-Identifier: Apache-2.0
package io.backstitch.agent;

import java.lang.ref.WeakReference;

/**
 * What is known of objects, by their identity, without keeping them alive and without calling a
 * method of theirs. Holds a leaf lock for some instructions only.
 */
final class Tasks {
  private static final int STRIPES = 64;
  private static final int BUCKETS_FIRST = 64;
  /** In one stripe; beyond, nothing more is remembered until some go. */
  private static final int ENTRIES_MAX = 16_384;

  private static final class Entry extends WeakReference<Object> {
    final int hash;
    final Object value;
    Entry next;

    Entry(Object key, int hash, Object value, Entry next) {
      super(key);
      this.hash = hash;
      this.value = value;
      this.next = next;
    }
  }

  private static final class Stripe {
    Entry[] buckets = new Entry[BUCKETS_FIRST];
    int count;

    synchronized boolean put(Object key, int hash, Object value, boolean replace) {
      Entry found = find(key, hash);
      if (found != null && !replace) return false;
      if (found != null) remove(key, hash);
      if (count >= ENTRIES_MAX) sweep();
      if (count >= ENTRIES_MAX) return false;
      if (count >= buckets.length) grow();
      int at = hash & (buckets.length - 1);
      buckets[at] = new Entry(key, hash, value, buckets[at]);
      count++;
      return true;
    }

    synchronized Object get(Object key, int hash) {
      Entry found = find(key, hash);
      return found == null ? null : found.value;
    }

    synchronized Object remove(Object key, int hash) {
      int at = hash & (buckets.length - 1);
      Entry before = null;
      for (Entry entry = buckets[at]; entry != null; entry = entry.next) {
        if (entry.hash == hash && entry.get() == key) {
          if (before == null) buckets[at] = entry.next;
          else before.next = entry.next;
          count--;
          return entry.value;
        }
        before = entry;
      }
      return null;
    }

    private Entry find(Object key, int hash) {
      Entry entry = buckets[hash & (buckets.length - 1)];
      while (entry != null && (entry.hash != hash || entry.get() != key)) entry = entry.next;
      return entry;
    }

    private void grow() {
      sweep();
      if (count < buckets.length / 2) return;
      Entry[] old = buckets;
      buckets = new Entry[old.length * 2];
      for (Entry entry : old) {
        while (entry != null) {
          Entry next = entry.next;
          int at = entry.hash & (buckets.length - 1);
          entry.next = buckets[at];
          buckets[at] = entry;
          entry = next;
        }
      }
    }

    /** Drops what nobody else holds any more. */
    synchronized void sweep() {
      for (int at = 0; at < buckets.length; at++) {
        Entry kept = null;
        for (Entry entry = buckets[at]; entry != null; ) {
          Entry next = entry.next;
          if (entry.get() == null) {
            count--;
          } else {
            entry.next = kept;
            kept = entry;
          }
          entry = next;
        }
        buckets[at] = kept;
      }
    }

    synchronized void clear() {
      buckets = new Entry[BUCKETS_FIRST];
      count = 0;
    }
  }

  private final Stripe[] stripes = new Stripe[STRIPES];

  Tasks() {
    for (int at = 0; at < STRIPES; at++) stripes[at] = new Stripe();
  }

  private static int hashOf(Object key) {
    int hash = System.identityHashCode(key) * 0x9e3779b9;
    return hash ^ hash >>> 15;
  }

  private Stripe stripe(int hash) {
    return stripes[hash >>> 26];
  }

  void put(Object key, Object value) {
    int hash = hashOf(key);
    stripe(hash).put(key, hash, value, true);
  }

  /** False: there was something, or there is no room. */
  boolean putIfAbsent(Object key, Object value) {
    int hash = hashOf(key);
    return stripe(hash).put(key, hash, value, false);
  }

  Object get(Object key) {
    int hash = hashOf(key);
    return stripe(hash).get(key, hash);
  }

  Object remove(Object key) {
    int hash = hashOf(key);
    return stripe(hash).remove(key, hash);
  }

  void sweep() {
    for (Stripe stripe : stripes) stripe.sweep();
  }

  void clear() {
    for (Stripe stripe : stripes) stripe.clear();
  }
}
