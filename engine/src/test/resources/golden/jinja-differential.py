"""Renders every template of jinja-differential.json with Jinja2 again and writes what came out.

To add cases, append {"template": "..."} objects and run this with Jinja2 3.1.6 on Python 3.11. Templates whose output
differs from run to run (addresses of objects) do not belong there.
"""
import json
import os
from datetime import datetime

from jinja2.exceptions import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "jinja-differential.json")
NOW = datetime(2025, 7, 26, 14, 5, 9)


def raise_exception(message):
    raise TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def rendered(env, template, context):
    try:
        return {"template": template, "out": env.from_string(template).render(**json.loads(json.dumps(context)))}
    except Exception as e:
        return {"template": template, "err": type(e).__name__}


def main():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = NOW.strftime
    with open(FILE, encoding="utf-8") as f:
        data = json.load(f)
    cases = [rendered(env, case["template"], data["context"]) for case in data["cases"]]
    with open(FILE, "w", encoding="utf-8") as f:
        f.write("{" + f'"about": {json.dumps(data["about"])},\n')
        f.write(f'"context": {json.dumps(data["context"], ensure_ascii=False)},\n"cases": [\n')
        f.write(",\n".join(json.dumps(case, ensure_ascii=False) for case in cases))
        f.write("\n]}\n")


if __name__ == "__main__":
    main()
