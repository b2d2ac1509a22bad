// SPDX-License-Identifier: Apache-2.0

export interface ComponentId {
  readonly type: string;
  /** "" when there is none. */
  readonly name: string;
  /** `type` or `type/name`, trimmed. */
  readonly text: string;
}

const NAME_BYTES_MAX = 1024;

/** Reads `type[/name]` by the Collector's rules; a text is what is wrong. */
export function parseComponentId(written: string): ComponentId | string {
  const slash = written.indexOf("/");
  const type = (slash === -1 ? written : written.slice(0, slash)).trim();
  const name = slash === -1 ? "" : written.slice(slash + 1).trim();
  if (type === "") {
    return slash === -1
      ? "id must not be empty. Write the component's type, or type/name"
      : `in "${written}" id: the part before / should not be empty. Write type/name`;
  }
  if (!/^[a-zA-Z][0-9a-zA-Z_]{0,62}$/.test(type)) {
    return `in "${written}" id: invalid character(s) in type "${type}". A type has letters, digits and _`;
  }
  if (slash !== -1 && name === "") {
    return `in "${written}" id: the part after / should not be empty. Leave / out or add a name`;
  }
  if (!/^[^\p{Z}\p{C}\p{S}]*$/u.test(name) || Buffer.byteLength(name) > NAME_BYTES_MAX) {
    return `in "${written}" id: invalid character(s) in name "${name}". Use letters, digits, - . _`;
  }
  return { type, name, text: name === "" ? type : `${type}/${name}` };
}
