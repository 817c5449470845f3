// A stand-in for Terraform's provider of AWS: it knows every attribute and block that the real one has, and nothing else.
//   node provider.mjs CACHE TYPE...     prints the JSON by which Terraform attaches to it, and serves until it is killed
// `aws_sqs_queue` is a resource, `data.aws_partition` a data source. What they have is read from the bindings that CDK for
// Terraform generates from the real provider's schema.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const [cache, ...types] = process.argv.slice(2);
const require = createRequire(join(cache, "package.json"));
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const SIMPLE = { string: "string", number: "number", boolean: "bool", any: "dynamic" };
const NESTING = { struct: 2, list: 2, set: 3 }; // A block that may be there once is a list of one.

/** As Terraform writes the type of an attribute. */
function typeOf(type, storage) {
  if (type === "simple") return SIMPLE[storage] ?? "dynamic";
  const inner = SIMPLE[storage.replace(/(List|Map)$/, "")];
  return inner ? [type, inner] : "dynamic";
}

/** Which properties of an interface have to be given. */
function required(types, name) {
  const found = types.match(new RegExp(`export interface ${name}(?: extends [\\w.]+)? \\{([\\s\\S]*?)\\n\\}`));
  return new Set([...(found?.[1] ?? "").matchAll(/readonly (\w+): /g)].map((it) => it[1]));
}

/** A block, from the function that writes it out. */
function block(code, types, body, name) {
  const has = required(types, name);
  const attributes = [];
  const block_types = [];
  const entry = /(\w+): \{\s*value: (.*),\s*isBlock: (true|false),\s*type: "(\w+)",\s*storageClassType: "(\w+)"/g;
  for (const [, key, value, isBlock, type, storage] of body.matchAll(entry)) {
    const camel = value.match(/(?:struct\.|this\._)(\w+)/)?.[1];
    const nested = value.match(/(\w+)ToHclTerraform/)?.[1];
    if (isBlock === "true") {
      const inner = code.match(new RegExp(`function ${nested}ToHclTerraform\\([\\s\\S]*?const attrs = \\{([\\s\\S]*?)\\n    \\};`));
      const interfaceName = nested[0].toUpperCase() + nested.slice(1);
      const min_items = has.has(camel) ? 1 : 0;
      const max_items = type === "struct" ? 1 : 0;
      block_types.push({ type_name: key, nesting: NESTING[type], min_items, max_items, block: block(code, types, inner?.[1] ?? "", interfaceName) });
    } else {
      const needed = has.has(camel);
      attributes.push({ name: key, type: typeOf(type, storage), required: needed, optional: !needed, computed: !needed });
    }
  }
  return { attributes, block_types };
}

/** What AWS tells of it, besides what is written. */
function outputs(code, known) {
  const own = code.slice(code.lastIndexOf("\nclass "));
  const found = own.matchAll(/this\.get(String|Number|Boolean|List|StringMap)Attribute\('(\w+)'\)/g);
  const type = { String: "string", Number: "number", Boolean: "bool", List: ["list", "string"], StringMap: ["map", "string"] };
  const all = [...found].map(([, kind, name]) => ({ name, type: type[kind], required: false, optional: false, computed: true }));
  return all.filter((it) => !known.some((other) => other.name === it.name));
}

function schema(folder) {
  const at = join(cache, "package/lib", folder);
  const read = (name) => readFileSync(join(at, name), "utf8").split("\n//# sourceMappingURL=")[0];
  const [code, types] = ["index.js", "index.d.ts"].map(read);
  const name = code.match(/\nclass (\w+) extends cdktf\.Terraform(?:Resource|DataSource|Provider)/)[1];
  const body = code.slice(code.indexOf("synthesizeHclAttributes()"));
  const whole = block(code, types, body, `${name}Config`);
  whole.attributes.push(...outputs(code, whole.attributes));
  return { version: 0, block: packed(whole) };
}

function packed(of) {
  const attributes = of.attributes.map((it) => ({ ...it, type: Buffer.from(JSON.stringify(it.type)) }));
  const block_types = of.block_types.map((it) => ({ ...it, block: packed(it.block) }));
  return { version: 0, attributes, block_types };
}

const folder = (type) => type.replace("data.aws_", "data-aws-").replace(/^aws_/, "").replaceAll("_", "-");
const of = (data) => types.filter((type) => type.startsWith("data.") === data);
const schemas = (data) => Object.fromEntries(of(data).map((type) => [type.replace("data.", ""), schema(folder(type))]));
const said = {
  provider: schema("provider"),
  resource_schemas: schemas(false),
  data_source_schemas: schemas(true),
};

const proto = join(dirname(fileURLToPath(import.meta.url)), "provider.proto");
const { tfplugin5 } = grpc.loadPackageDefinition(loader.loadSync(proto, { keepCase: true }));
const server = new grpc.Server({ "grpc.max_send_message_length": -1 });
server.addService(tfplugin5.Provider.service, {
  GetSchema: (_, answer) => answer(null, said),
  PrepareProviderConfig: (call, answer) => answer(null, { prepared_config: call.request.config }),
  ValidateResourceTypeConfig: (_, answer) => answer(null, {}),
  ValidateDataSourceConfig: (_, answer) => answer(null, {}),
});
server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  const address = { Network: "tcp", String: `127.0.0.1:${port}` };
  const attach = { Protocol: "grpc", ProtocolVersion: 5, Pid: process.pid, Test: true, Addr: address };
  console.log(JSON.stringify({ "registry.terraform.io/hashicorp/aws": attach }));
});
