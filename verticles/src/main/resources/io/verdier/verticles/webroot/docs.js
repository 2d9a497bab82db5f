// Renders openapi.json, which the server makes from its tables of routes and fields.

const main = document.getElementById("main");
const state = document.getElementById("state");

function element(name, text, children = []) {
  const made = document.createElement(name);
  if (text) {
    made.textContent = text;
  }
  made.append(...children);
  return made;
}

/** A JSON schema in a few words. */
function shown(schema) {
  if (schema.anyOf) {
    return schema.anyOf.map(shown).join(" or ");
  }
  if (schema.enum) {
    return schema.enum.join(", ");
  }
  const bounds = [];
  if (schema.minimum !== undefined) {
    bounds.push(`≥ ${schema.minimum}`);
  }
  if (schema.exclusiveMinimum !== undefined) {
    bounds.push(`> ${schema.exclusiveMinimum}`);
  }
  if (schema.maximum !== undefined) {
    bounds.push(`≤ ${schema.maximum}`);
  }
  const items = schema.items?.type ? ` of ${schema.items.type}` : "";
  return [(schema.type ?? "any") + items, ...bounds].join(" ");
}

/** What is known of the fields of an object, or of the objects of a list. */
function inside(schema) {
  return schema.properties ?? schema.items?.properties ?? schema.anyOf?.map(inside).find(Boolean);
}

function rows(properties, prefix = "") {
  return Object.entries(properties).flatMap(([name, schema]) => {
    const status = schema["x-verdier-status"] ?? "supported";
    const row = element("tr", "", [
      element("td", "", [element("code", prefix + name)]),
      element("td", shown(schema)),
      element("td", status),
      element("td", schema.description ?? ""),
    ]);
    row.dataset.status = status;
    return [row, ...rows(inside(schema) ?? {}, `${prefix + name}.`)];
  });
}

function fields(properties) {
  const head = element("tr", "", ["Field", "Type", "Status", "Meaning"].map((it) => element("th", it)));
  return element("table", "", [element("thead", "", [head]), element("tbody", "", rows(properties))]);
}

function resolved(api, schema) {
  const name = schema?.$ref?.split("/").pop();
  return name ? api.components.schemas[name] : schema;
}

function route(api, path, method, operation) {
  const summary = element("summary", "", [
    element("code", `${method.toUpperCase()} ${path}`),
    document.createTextNode(" "),
    element("span", operation.summary),
  ]);
  const whole = element("details", "", [summary]);
  const body = resolved(api, operation.requestBody?.content?.["application/json"]?.schema);
  if (body?.description) {
    whole.append(element("p", body.description));
  }
  if (body?.properties) {
    whole.append(fields(body.properties));
  }
  const instance = resolved(api, body?.properties?.instances?.items);
  if (instance?.properties) {
    whole.append(element("p", "An instance:"), fields(instance.properties));
  }
  return whole;
}

try {
  const response = await fetch("openapi.json");
  if (!response.ok) {
    throw new Error(`the server answered ${response.status}`);
  }
  const api = await response.json();
  const routes = Object.entries(api.paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => route(api, path, method, operation)),
  );
  main.replaceChildren(element("p", `Verdier ${api.info.version}`), ...routes);
} catch (failed) {
  state.textContent = `The description is not there: ${failed.message}.`;
}
