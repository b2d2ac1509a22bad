// SPDX-License-Identifier: Apache-2.0
import { effect, type Signal, signal } from "@preact/signals";

export type Theme = "light" | "dark";
const KEY = "backstitch.theme";
const darkSystem = matchMedia("(prefers-color-scheme: dark)");

function stored(): Theme | undefined {
  const value = localStorage.getItem(KEY);
  return value === "light" || value === "dark" ? value : undefined;
}

export const theme: Signal<Theme> = signal(stored() ?? (darkSystem.matches ? "dark" : "light"));

/** Follows the system until a person chooses. */
export function applyTheme(): void {
  effect(() => {
    document.documentElement.dataset["theme"] = theme.value;
  });
  darkSystem.addEventListener("change", () => {
    theme.value = stored() ?? (darkSystem.matches ? "dark" : "light");
  });
}

export function toggleTheme(): void {
  theme.value = theme.value === "dark" ? "light" : "dark";
  localStorage.setItem(KEY, theme.value);
}
