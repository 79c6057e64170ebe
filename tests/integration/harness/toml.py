"""A dict as TOML, as far as the proxy's configuration needs it."""


def _value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + " }"
    raise TypeError(f"no TOML for {value!r}")


def to_toml(document):
    """Dicts become tables, lists of dicts become arrays of tables, one level deep."""
    lines = []
    later = []
    for key, value in document.items():
        if isinstance(value, dict):
            later.append((f"[{key}]", value))
        elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            later.extend((f"[[{key}]]", item) for item in value)
        else:
            lines.append(f"{key} = {_value(value)}")
    for header, table in later:
        lines += ["", header] + [f"{key} = {_value(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"
