#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compiles the descriptions of kinds (userspace/lib/api/schema/*.kind) into C.

    gen-api.py --out DIR FILE.kind...      writes DIR/api_types.h and DIR/api_tables.c

The language, one statement a line; '#' at the start of a word opens a comment; values with spaces are quoted:

    package io.k8s.api.core.v1 core/v1          OpenAPI package and group/version of what follows ("core" is the empty group)

    type NAME [id=NAME] [struct=C_NAME] [extern] [object] [atomic] [-- doc]
        id=         what fields and C call it, where another package has a type of that name
        struct=     name of the C struct, else api_<id_in_snake_case>
        extern      the struct is written by hand in api.h; members that have no place in it say no-c
        object      has apiVersion, kind and metadata, which are then added; the struct starts with struct api_object
        atomic      apply owns and replaces it as one

    kind NAME PLURAL namespaced|cluster [id=NAME] [short=a,b] [categories=a,b] [sub=status,scale] [generation] [name=FORMAT]
         [unattended=WHY] [stored-as=KIND] [review] [computed] [-- doc]
        a type with the word object, and an entry among the kinds. review: a question, answered in the reply to its
        create and never stored. computed: only read, and made when it is asked for. unattended: objects are kept, but nothing acts on them yet; clients are warned with
        these words. stored-as: another form of the kind of that id (api/view.c), with its columns. Besides fields its
        body may hold
    column "NAME" string|integer|date [wide] [format=name] path=.a.b | fn=NAME
    select PATH...                              field selectors besides metadata.name and metadata.namespace

Every other line is a field of the type or kind above it:

    NAME NUMBER TYPE [attribute...] [-- doc]
        NUMBER      in protobuf; 0 none; "2.6": member 6 of the embedded message that is field 2 there but flat in JSON
        TYPE        string bool int32 int64 double quantity int-or-string time micro-time bytes raw, or a type's name;
                    with []T a list, map:T a map from string; T? a scalar whose absence differs from zero
    inline          object by value in the struct           always      the encoder writes it even when empty
    required        must be there, strings not empty        no-empty    the list has members
    immutable       an update may not change it             read-only   the server's own; dropped from what clients write
    status          belongs to the status subresource       no-c        not in the C struct
    default=V       JSON, or a bare word for a string       enum=A|B    the values there are
    format=F        dns-label, dns-subdomain, label-value, ip, cidr, ... (api/format.c)
    min=N max=N     of an integer
    key=K[,K...]    list is a map by these members; the first one is also strategic merge's, unless merge=K says otherwise
    unique          no two elements have the same keys
    set             list of distinct scalars                atomic      apply replaces it whole
    retain-keys     strategic merge drops keys the patch lacks
    refused=WHY     Kubernetes has it, Skep not yet: any value but an absent, empty or allowed one is refused with these words
    allow=A|B       with refused: the values that are accepted
"""
import argparse
import json
import os
import re
import shlex
import sys

SCALARS = {
    "string": "API_STRING", "bool": "API_BOOL", "int32": "API_INT32", "int64": "API_INT64", "double": "API_DOUBLE",
    "quantity": "API_QUANTITY", "int-or-string": "API_INT_OR_STRING", "time": "API_TIME", "micro-time": "API_MICRO_TIME",
    "bytes": "API_BYTES", "raw": "API_RAW",
}
FLAGS = {
    "required": "API_REQUIRED", "immutable": "API_IMMUTABLE", "inline": "API_EMBEDDED", "read-only": "API_READ_ONLY",
    "atomic": "API_ATOMIC", "retain-keys": "API_RETAIN_KEYS", "status": "API_STATUS", "no-empty": "API_NO_EMPTY",
    "always": "API_ALWAYS", "unique": "API_UNIQUE",
}
WORDS = set(FLAGS) | {"set", "no-c"}
VALUED = {"default", "enum", "format", "min", "max", "key", "merge", "refused", "allow"}
STRINGS = {"string", "quantity", "time", "micro-time", "bytes"}
KEYWORDS = set("""auto break case char const continue default do double else enum extern float for goto if inline int long
register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while namespace
stdin stdout stderr linux unix""".split())


class KindError(Exception):
    def __init__(self, where, message):
        super().__init__(f"{where[0]}:{where[1]}: {message}")


def snake(name):
    """podIPs -> pod_ips, qosClass -> qos_class, PodSpec -> pod_spec, setHostnameAsFQDN -> set_hostname_as_fqdn"""
    s = re.sub(r"([A-Z]{2,})s(?=$|[A-Z])", lambda m: m.group(1).capitalize() + "s", name)
    s = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", s)
    s = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", s)
    return re.sub(r"[^A-Za-z0-9]+", "_", s).lower()


def version_rank(version):
    """Kubernetes' order of versions: v2, v1, v1beta2, v1beta1, v1alpha1, then the rest by name."""
    m = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if not m:
        return (1, 0, 0, 0, version)
    return (0, {None: 0, "beta": 1, "alpha": 2}[m.group(2)], -int(m.group(1)), -int(m.group(3) or 0), version)


def cstr(s):
    if s is None:
        return "NULL"
    out = "".join(c if c not in '"\\' else "\\" + c for c in s)
    return '"' + out.replace("\n", "\\n") + '"'


class Field:
    def __init__(self, where, name, number, type_text):
        self.where, self.name, self.doc = where, name, ""
        self.flags, self.set, self.no_c = set(), False, False
        self.default = self.enum = self.format = self.refused = self.allow = self.merge = self.keys = None
        self.min, self.max = 0, -1
        self.cname = snake(name)
        if self.cname in KEYWORDS:
            self.cname += "_"
        m = re.fullmatch(r"(\d+)(?:\.(\d+))?", number)
        if not m:
            raise KindError(where, f"field '{name}': '{number}' is not a protobuf field number")
        self.pb = int(m.group(1)) if not m.group(2) else int(m.group(1)) << 8 | int(m.group(2))
        m = re.fullmatch(r"(\[\]|map:)?([A-Za-z][A-Za-z0-9-]*)(\?)?", type_text)
        if not m:
            raise KindError(where, f"field '{name}': '{type_text}' is not a type")
        self.shape = {None: "API_ONE", "[]": "API_LIST", "map:": "API_MAP"}[m.group(1)]
        self.base = m.group(2)
        if m.group(3):
            if self.shape != "API_ONE" or self.base not in ("bool", "int32", "int64"):
                raise KindError(where, f"field '{name}': only bool and int can be optional scalars, not '{type_text}'")
            self.flags.add("API_OPTIONAL")

    def attribute(self, word):
        key, eq, value = word.partition("=")
        if not eq:
            if word not in WORDS:
                raise KindError(self.where, f"field '{self.name}': unknown attribute '{word}'")
            if word == "set":
                self.set = True
            elif word == "no-c":
                self.no_c = True
            else:
                self.flags.add(FLAGS[word])
            return
        if key not in VALUED:
            raise KindError(self.where, f"field '{self.name}': unknown attribute '{key}='")
        if key in ("min", "max"):
            try:
                setattr(self, key, int(value))
            except ValueError:
                raise KindError(self.where, f"field '{self.name}': {key}={value} is not an integer") from None
        elif key in ("enum", "allow"):
            setattr(self, key, value.split("|"))
        elif key == "key":
            self.keys = value.split(",")
        elif key == "default":
            self.default = json.dumps(value) if self.shape == "API_ONE" and self.base in STRINGS else value
            try:
                json.loads(self.default)
            except ValueError:
                raise KindError(self.where, f"field '{self.name}': default is not JSON: {value}") from None
        else:
            setattr(self, key, value)
            if key == "refused":
                self.flags.add("API_REFUSED")

    def check(self, types):
        if self.base not in SCALARS and self.base not in types:
            raise KindError(self.where, f"field '{self.name}': no type '{self.base}'")
        if self.allow and self.refused is None:
            raise KindError(self.where, f"field '{self.name}': allow without refused")
        if "API_EMBEDDED" in self.flags and (self.base in SCALARS or self.shape != "API_ONE"):
            raise KindError(self.where, f"field '{self.name}': only a single object can be inline")
        if self.shape == "API_MAP" and self.base not in STRINGS:
            self.no_c = True
        for k in self.keys or []:
            if self.base in SCALARS or k not in [f.name for f in types[self.base].fields]:
                raise KindError(self.where, f"field '{self.name}': key '{k}' is not a member of {self.base}")
        if self.min <= self.max and self.base not in ("int32", "int64"):
            raise KindError(self.where, f"field '{self.name}': min and max are for integers")

    def members(self, types):
        """The C members of this field."""
        b = self.base
        if b in STRINGS:
            one = "const char *"
        elif b in ("int32", "int64"):
            one = "int64_t "
        elif b == "bool":
            one = "bool "
        elif b == "double":
            one = "double "
        elif b == "raw":
            one = "json_t *"
        elif b == "int-or-string":
            one = "struct api_int_or_str "
        else:
            one = f"struct {types[b].cname} "
        if self.shape == "API_MAP":
            return [f"struct api_map {self.cname};"]
        if self.shape == "API_LIST":
            return [f"size_t n_{self.cname};", f"{one}*{self.cname};"]
        if "API_OPTIONAL" in self.flags:
            one = "struct api_opt_bool " if b == "bool" else "struct api_opt_int "
        if b not in SCALARS and "API_EMBEDDED" not in self.flags:
            one += "*"
        return [f"{one}{self.cname};"]


class Type:
    def __init__(self, where, name, package, doc, ident):
        self.where, self.name, self.package, self.doc = where, name, package, doc
        self.key, self.id = ident, snake(ident)
        self.cname = "api_" + self.id
        self.fields, self.extern, self.object, self.atomic = [], False, False, False

    def add_object_fields(self):
        self.object = True
        for name, typ, words, doc in (
                ("apiVersion", "string", [], "Group and version of this representation."),
                ("kind", "string", [], "Kind of this object."),
                ("metadata", "ObjectMeta", ["inline"], "Name, labels and what else every object carries.")):
            f = Field(self.where, name, "1" if name == "metadata" else "0", typ)
            for w in words:
                f.attribute(w)
            f.doc = doc
            self.fields.append(f)


class Kind:
    def __init__(self, where, typ, group, version, plural, scope):
        self.where, self.type, self.group, self.version, self.plural = where, typ, group, version, plural
        self.namespaced = scope == "namespaced"
        self.short, self.categories, self.sub, self.columns, self.select = [], [], [], [], []
        self.generation, self.name_format, self.unattended = False, "dns-subdomain", None
        self.stored_as = None
        self.review = False
        self.computed = False


class Parser:
    def __init__(self):
        self.types, self.kinds = {}, []
        self.package = self.type = self.kind = None

    def file(self, path):
        self.package = self.type = self.kind = None
        with open(path, encoding="utf-8") as f:
            for n, line in enumerate(f, 1):
                where = (path, n)
                text, _, doc = line.rstrip("\n").partition(" -- ")
                try:
                    words = shlex.split(text, comments=True)
                except ValueError as e:
                    raise KindError(where, str(e)) from None
                if words:
                    self.statement(where, words, doc.strip())

    def statement(self, where, words, doc):
        verb = words[0]
        if len(words) > 2 and re.fullmatch(r"[\d.]+", words[1]):
            self.field(where, words, doc)
        elif verb == "package":
            if len(words) != 3 or "/" not in words[2]:
                raise KindError(where, "package needs an OpenAPI package and group/version")
            group, version = words[2].rsplit("/", 1)
            self.package = (words[1], "" if group == "core" else group, version)
            self.type = self.kind = None
        elif not self.package:
            raise KindError(where, "a package line comes first")
        elif verb == "type":
            self.new_type(where, words, doc)
            self.kind = None
            for w in words[2:]:
                if w.startswith("struct="):
                    self.type.cname = w[7:]
                elif w == "extern":
                    self.type.extern = True
                elif w == "object":
                    self.type.add_object_fields()
                elif w == "atomic":
                    self.type.atomic = True
                elif not w.startswith("id="):
                    raise KindError(where, f"type {self.type.name}: unknown word '{w}'")
        elif verb == "kind":
            self.new_kind(where, words, doc)
        elif verb == "column" or verb == "select":
            if not self.kind:
                raise KindError(where, f"{verb} outside a kind")
            if verb == "select":
                self.kind.select += words[1:]
            else:
                self.column(where, words)
        else:
            raise KindError(where, f"field '{verb}' needs a number and a type")

    def field(self, where, words, doc):
        if not self.type:
            raise KindError(where, f"field '{words[0]}' outside a type")
        f = Field(where, *words[:3])
        f.doc = doc
        for w in words[3:]:
            f.attribute(w)
        if f.name in [g.name for g in self.type.fields]:
            raise KindError(where, f"field '{f.name}' is there already")
        self.type.fields.append(f)

    def new_type(self, where, words, doc):
        if len(words) < 2 or not re.fullmatch(r"[A-Z][A-Za-z0-9]*", words[1]):
            raise KindError(where, f"{words[0]} needs a name")
        ident = next((w[3:] for w in words[2:] if w.startswith("id=")), words[1])
        if ident in self.types:
            old = self.types[ident].where
            raise KindError(where, f"{ident} is there already ({old[0]}:{old[1]}); give it an id=")
        self.type = Type(where, words[1], self.package[0], doc, ident)
        self.types[ident] = self.type

    def new_kind(self, where, words, doc):
        if len(words) < 4 or words[3] not in ("namespaced", "cluster"):
            raise KindError(where, "kind needs a name, a plural, and namespaced or cluster")
        self.new_type(where, words, doc)
        self.type.add_object_fields()
        k = self.kind = Kind(where, self.type, self.package[1], self.package[2], words[2], words[3])
        self.kinds.append(k)
        for w in words[4:]:
            key, _, value = w.partition("=")
            if key == "short":
                k.short = value.split(",")
            elif key == "categories":
                k.categories = value.split(",")
            elif key == "sub":
                k.sub = value.split(",")
            elif key == "name":
                k.name_format = value
            elif key == "unattended":
                k.unattended = value
            elif key == "stored-as":
                k.stored_as = value
            elif w == "generation":
                k.generation = True
            elif w == "review":
                k.review = True
            elif w == "computed":
                k.computed = True
            elif key == "id":
                pass  # the type's
            else:
                raise KindError(where, f"kind {k.type.name}: unknown word '{w}'")

    def column(self, where, words):
        if len(words) < 4:
            raise KindError(where, "column needs a name, a type, and path= or fn=")
        col = {"name": words[1], "type": words[2], "format": "", "wide": 0, "path": None, "fn": None}
        for w in words[3:]:
            key, eq, value = w.partition("=")
            if w == "wide":
                col["wide"] = 1
            elif eq and key in ("format", "path", "fn"):
                col[key] = value
            else:
                raise KindError(where, f"column '{words[1]}': unknown word '{w}'")
        if bool(col["path"]) == bool(col["fn"]):
            raise KindError(where, f"column '{words[1]}' needs one of path= and fn=")
        self.kind.columns.append(col)

    def check(self):
        for t in self.types.values():
            for f in t.fields:
                f.check(self.types)
        for k in self.kinds:
            stored = [s for s in self.kinds if s.type.key == k.stored_as]
            if k.stored_as and (not stored or stored[0].stored_as):
                raise KindError(k.type.where, f"kind {k.type.name}: no kind '{k.stored_as}' to be stored as")
            if k.stored_as:
                k.columns = stored[0].columns
        self.kinds.sort(key=lambda k: (k.group, version_rank(k.version), k.type.name))

    def by_embedding(self):
        """Types in an order in which those embedded by value come first."""
        done, out = {}, []

        def visit(t):
            if done.get(t.key) == "open":
                raise KindError(t.where, f"type {t.name} embeds itself")
            if t.key in done:
                return
            done[t.key] = "open"
            for f in t.fields:
                if "API_EMBEDDED" in f.flags and not f.no_c:
                    visit(self.types[f.base])
            done[t.key] = "closed"
            out.append(t)
        for t in self.types.values():
            visit(t)
        return out


BANNER = """/* SPDX-License-Identifier: Apache-2.0 */
/* Made by scripts/gen-api.py from userspace/lib/api/schema; change those. */
"""


def write_types(p, out):
    w = out.write
    w(BANNER + '#ifndef SKEP_API_TYPES_H\n#define SKEP_API_TYPES_H\n\n#include "api/api.h"\n\n')
    types = p.by_embedding()
    for t in types:
        if not t.extern:
            w(f"struct {t.cname};\n")
    w("\n")
    for t in types:
        if t.extern:
            continue
        fields = [f for f in t.fields if not f.no_c]
        if t.doc:
            w(f"/* {t.doc} */\n")
        w(f"struct {t.cname} {{\n")
        if t.object:
            w("\tunion {\n\t\tstruct api_object object;\n"
              "\t\tstruct {\n\t\t\tconst char *api_version, *kind;\n\t\t\tstruct api_meta metadata;\n\t\t};\n\t};\n")
            fields = fields[3:]
        for f in fields:
            for m in f.members(p.types):
                w(f"\t{m}\n")
        if not fields and not t.object:
            w("\tchar none;\n")
        w("};\n\n")
    for t in types:
        w(f"extern const struct api_type api_type_{t.id};\n")
    w("\n")
    for k in p.kinds:
        w(f"extern const struct api_kind api_kind_{k.type.id};\n")
    w("\n#endif\n")


class Tables:
    def __init__(self, p, out):
        self.p, self.w, self.lists = p, out.write, {}

    def strings(self, values, always=False):
        """Name of a NULL-terminated array of these."""
        if not values:
            return "none" if always else "NULL"
        return self.lists[tuple(values)]

    def note(self, values):
        if values and tuple(values) not in self.lists:
            self.lists[tuple(values)] = f"words_{len(self.lists)}"
            self.w(f"static const char *const {self.lists[tuple(values)]}[] = {{ "
                   + ", ".join(cstr(v) for v in values) + ", NULL };\n")

    def field(self, t, f):
        parts = [f".name = {cstr(f.name)}", f".doc = {cstr(f.doc)}"]
        if f.pb:
            parts.append(f".pb = {f.pb}")
        parts.append(f".type = {SCALARS.get(f.base, 'API_OBJECT')}")
        parts.append(f".shape = {f.shape}")
        if f.flags:
            parts.append(".flags = " + " | ".join(sorted(f.flags)))
        if f.no_c:
            parts.append(".offset = API_NO_OFFSET, .n_offset = API_NO_OFFSET")
        else:
            parts.append(f".offset = offsetof(struct {t.cname}, {f.cname})")
            if f.shape == "API_LIST":
                parts.append(f".n_offset = offsetof(struct {t.cname}, n_{f.cname})")
        if f.base not in SCALARS:
            parts.append(f".object = &api_type_{self.p.types[f.base].id}")
        if f.default is not None:
            parts.append(f".default_json = {cstr(f.default)}")
        if f.enum:
            parts.append(f".enum_values = {self.strings(f.enum)}")
        if f.format:
            parts.append(f".format = {cstr(f.format)}")
        parts.append(f".min = {f.min}, .max = {f.max}")
        merge = f.merge or (f.keys[0] if f.keys else None)
        if merge:
            parts.append(f".merge_key = {cstr(merge)}")
        if f.keys:
            parts.append(f".map_keys = {self.strings(f.keys)}")
        if f.set:
            parts.append(".is_set = true")
        if f.refused is not None:
            parts.append(f".refused_why = {cstr(f.refused)}")
        if f.allow:
            parts.append(f".allowed = {self.strings(f.allow)}")
        return "\t{ " + ",\n\t  ".join(parts) + " },\n"

    def write(self):
        w = self.w
        w(BANNER + '#include "api/api_types.h"\n#include "api/api-internal.h"\n\n')
        w("static const char *const none[] = { NULL };\n")
        for t in self.p.types.values():
            for f in t.fields:
                for values in (f.enum, f.keys, f.allow):
                    self.note(values)
        for k in self.p.kinds:
            for values in (k.short, k.categories, k.sub, k.select):
                self.note(values)
        for t in self.p.types.values():
            if t.fields:
                w(f"\nstatic const struct api_field fields_{t.id}[] = {{\n")
                w("".join(self.field(t, f) for f in t.fields))
                w("};\n")
            size = f"sizeof(struct {t.cname})"
            w(f"const struct api_type api_type_{t.id} = {{ .name = {cstr(t.name)}, .package = {cstr(t.package)}, "
              f".doc = {cstr(t.doc)},\n\t.size = {size}, " + (".atomic = true, " if t.atomic else "")
              + (f".fields = fields_{t.id}, .n_fields = {len(t.fields)} }};\n" if t.fields else ".n_fields = 0 };\n"))
        for k in self.p.kinds:
            self.kind(k)
        w("\nconst struct api_kind *const api_kind_table[] = {\n")
        w("".join(f"\t&api_kind_{k.type.id},\n" for k in self.p.kinds) + "\tNULL,\n};\n")
        w(f"const size_t api_kind_table_len = {len(self.p.kinds)};\n")
        w("const struct api_type *const api_type_table[] = {\n")
        w("".join(f"\t&api_type_{t.id},\n" for t in self.p.types.values()) + "\tNULL,\n};\n")

    def kind(self, k):
        w, t = self.w, k.type
        columns = "NULL"
        if k.columns:
            columns = f"columns_{t.id}"
            w(f"\nstatic const struct api_column {columns}[] = {{\n")
            for c in k.columns:
                w(f"\t{{ {cstr(c['name'])}, {cstr(c['type'])}, {cstr(c['format'])}, {c['wide']}, {cstr(c['path'])}, "
                  f"{cstr(c['fn'])} }},\n")
            w("};\n")
        w(f"const struct api_kind api_kind_{t.id} = {{\n")
        for name, value in (
                ("group", cstr(k.group)), ("version", cstr(k.version)), ("kind", cstr(t.name)), ("plural", cstr(k.plural)),
                ("singular", cstr(t.name.lower())), ("short_names", self.strings(k.short, True)),
                ("categories", self.strings(k.categories, True)), ("subresources", self.strings(k.sub, True)),
                ("namespaced", "true" if k.namespaced else "false"),
                ("has_spec_generation", "true" if k.generation else "false"),
                ("review", "true" if k.review else "false"),
                ("computed", "true" if k.computed else "false"), ("type", f"&api_type_{t.id}"),
                ("columns", columns), ("n_columns", len(k.columns)), ("selectable", self.strings(k.select, True)),
                ("name_format", cstr(k.name_format)), ("unattended", cstr(k.unattended)),
                ("stored_as", f"&api_kind_{self.p.types[k.stored_as].id}" if k.stored_as else "NULL")):
            w(f"\t.{name} = {value},\n")
        w("};\n")


def replace(path, write):
    """Written whole or not at all, so that an interrupted build does not leave half a file."""
    with open(path + ".new", "w", encoding="utf-8") as out:
        write(out)
    os.replace(path + ".new", path)


def main():
    ap = argparse.ArgumentParser(description="Compile descriptions of kinds into C tables and structs.")
    ap.add_argument("--out", required=True, help="directory for api_types.h and api_tables.c")
    ap.add_argument("files", nargs="+")
    args = ap.parse_args()
    p = Parser()
    try:
        for path in sorted(args.files):
            p.file(path)
        p.check()
        replace(os.path.join(args.out, "api_types.h"), lambda out: write_types(p, out))
        replace(os.path.join(args.out, "api_tables.c"), lambda out: Tables(p, out).write())
    except (KindError, OSError) as e:
        sys.exit(f"gen-api: {e}")


if __name__ == "__main__":
    main()
