/** Forms of the query protocol: names such as Attribute.1.Name become a tree. */

/** Branches by the next part of the name, and the text that stands here itself. */
export interface Form {
  get(part: string): Form | undefined;
  readonly text: string | undefined;
  readonly parts: readonly string[];
}

/** More than any request needs, few enough to be read at once. */
const FIELDS_MAX = 10_000;
const DEPTH_MAX = 12;

interface Branch extends Form {
  text: string | undefined;
  readonly parts: string[];
  readonly branches: Map<string, Branch>;
}

/** Answers null for a form that no service takes. Of a name that comes twice the first value counts. */
export function readFormBody(body: string): Form | null {
  const root = branch();
  let fields = 0;
  for (const [name, value] of new URLSearchParams(body)) {
    const path = name.split('.');
    if (++fields > FIELDS_MAX || path.length > DEPTH_MAX) return null;
    const at = path.reduce(descend, root);
    at.text ??= value;
  }
  return root;
}

/** The items of a list, in the order of their numbers. */
export function elements(form: Form): readonly Form[] {
  return form.parts
    .filter((part) => /^\d{1,6}$/.test(part))
    .sort((a, b) => Number(a) - Number(b))
    .flatMap((part) => form.get(part) ?? []);
}

export function text(form: Form): string | undefined {
  return form.text;
}

function descend(at: Branch, part: string): Branch {
  let next = at.branches.get(part);
  if (next === undefined) {
    next = branch();
    at.branches.set(part, next);
    at.parts.push(part);
  }
  return next;
}

function branch(): Branch {
  const branches = new Map<string, Branch>();
  return { branches, parts: [], text: undefined, get: (part) => branches.get(part) };
}
