"""C source as the checks see it: comments, code without comments, errors, self-tests."""
import os
import re
import sys
import tempfile

TOKEN = re.compile(
    r"""(?P<block>/\*.*?\*/)
      | (?P<line>//(?:\\\n|[^\n])*)
      | (?P<string>"(?:\\.|[^"\\\n])*")
      | (?P<char>'(?:\\.|[^'\\\n])*')""",
    re.S | re.X,
)


class Comment:
    """A comment: its text without stars and line ends, and its first and last line (from 1)."""

    def __init__(self, text, first, last):
        self.text, self.first, self.last = text, first, last


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def blank(text):
    return re.sub(r"[^\n]", " ", text)


def code(text):
    """The text with comments, and what is inside strings and characters, made spaces: every
    byte that is left stands where it stood."""

    def hide(match):
        if match.lastgroup in ("string", "char"):
            found = match.group()
            return found[0] + blank(found[1:-1]) + found[-1]
        return blank(match.group())

    return TOKEN.sub(hide, text)


def without_comments(text):
    """As code(), but strings stay: for #include lines."""
    return TOKEN.sub(
        lambda m: blank(m.group()) if m.lastgroup in ("block", "line") else m.group(), text
    )


def comments(text):
    """All comments in order. Lines of // that follow each other, alone on theirs, are one."""
    found = []
    for match in TOKEN.finditer(text):
        if match.lastgroup not in ("block", "line"):
            continue
        first = text.count("\n", 0, match.start()) + 1
        last = first + match.group().count("\n")
        alone = not text[text.rfind("\n", 0, match.start()) + 1 : match.start()].strip()
        if match.lastgroup == "block":
            lines = match.group()[2:-2].split("\n")
            words = " ".join(line.strip().lstrip("*").strip() for line in lines)
            found.append(Comment(words.strip(), first, last))
            joins = False
        else:
            words = match.group()[2:].strip()
            if alone and found and joins and found[-1].last == first - 1:
                found[-1].text += " " + words
                found[-1].last = last
            else:
                found.append(Comment(words, first, last))
            joins = alone
    return found


def tree(root, folders, endings=(".c", ".h")):
    """Paths below the folders of root, relative to it, in byte order."""
    found = []
    for folder in folders:
        for where, _, names in os.walk(os.path.join(root, folder)):
            for name in names:
                if name.endswith(endings):
                    found.append(os.path.relpath(os.path.join(where, name), root))
    return sorted(found)


def main(check, cases):
    """Runs check(root) -> [(path, line, text)], or with --self-test the cases:
    (title, {path: text}, [expression that one error each must match])."""
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(self_test(check, cases))
    if len(sys.argv) > 2:
        sys.exit(f"usage: {sys.argv[0]} [ROOT | --self-test]")
    errors = sorted(set(check(sys.argv[1] if len(sys.argv) == 2 else ".")))
    for path, line, text in errors:
        print(f"{path}:{line}: {text}")
    sys.exit(1 if errors else 0)


def self_test(check, cases):
    failed = 0
    for title, files, wanted in cases:
        with tempfile.TemporaryDirectory() as root:
            for path, text in files.items():
                os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                    file.write(text)
            got = [f"{path}:{line}: {text}" for path, line, text in sorted(set(check(root)))]
        missed = [want for want in wanted if not any(re.search(want, line) for line in got)]
        if missed or len(got) != len(wanted):
            failed += 1
            print(f"self-test of {sys.argv[0]}: {title}:")
            print("  wanted: " + "; ".join(wanted or ["no error"]))
            print("  got:    " + "; ".join(got or ["no error"]))
    return 1 if failed else 0
