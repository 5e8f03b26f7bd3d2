/**
 * Writes the code that reads and writes the messages of a contract. It is what protobufjs makes of the
 * descriptor when a program starts, made at build time instead: a client's call then neither loads the
 * half of protobufjs that makes it, nor waits for it.
 */
import protobuf from "protobufjs";

/** What protobufjs makes code with; its declarations leave them out. */
const makers = protobuf as unknown as {
  encoder: MakeCode;
  decoder: MakeCode;
  converter: { fromObject: MakeCode; toObject: MakeCode };
};

type MakeCode = (type: protobuf.Type) => { toString(): string };

/**
 * The module's text; it exports `services`, definitions as grpc-js takes them.
 *
 * @param root The contract, without packages and nested types.
 */
export function codecOf(root: protobuf.Root): string {
  root.resolveAll();
  const types = root.nestedArray.filter((entry) => entry instanceof protobuf.Type);
  const enums = root.nestedArray.filter((entry) => entry instanceof protobuf.Enum);
  const services = root.nestedArray.filter((entry) => entry instanceof protobuf.Service);
  if (types.length + enums.length + services.length !== root.nestedArray.length) {
    throw new Error("the contract has something else than messages, enums and services");
  }
  return [
    HEAD,
    ...enums.map(({ name, valuesById }) =>
      `const ${name} = { values: ${JSON.stringify(valuesById)} };`
    ),
    ...types.map(({ name }) => `const ${name} = { ctor: class ${name} {} };`),
    ...types.map(messageCode),
    ...services.map(serviceCode),
    `export const services = { ${services.map(({ name }) => name).join(", ")} };`,
    "",
  ].join("\n");
}

const HEAD = `// @ts-nocheck: Made from the contract.
import protobuf from "protobufjs/minimal.js";
const { Reader, Writer, util } = protobuf;

// 64-bit numbers are JavaScript's: no offset or time here passes 2^53.
const OPTIONS = { longs: Number, enums: String, defaults: true };
const serialize = (type) => (value) => type.encode(type.fromObject(value)).finish();
const deserialize = (type) => (bytes) => type.toObject(type.decode(bytes), OPTIONS);

const UTF8 = new TextDecoder("utf-8", { fatal: true });
const recoded = new WeakSet();
/** Whether a text in a request was not UTF-8, and stands in the message with other characters. */
export const isRecoded = (request) => recoded.has(request);
const deserializeRequest = (type) => (bytes) => {
  let isValid = true;
  const reader = Reader.create(bytes);
  const { string } = reader;
  reader.string = function () {
    const begin = this.pos;
    const text = string.call(this);
    // What is not valid becomes this character, which may have been sent as well.
    if (text.includes("\\uFFFD")) {
      const end = this.pos;
      this.pos = begin;
      try {
        UTF8.decode(this.bytes());
      } catch {
        isValid = false;
      }
      this.pos = end;
    }
    return text;
  };
  const message = type.toObject(type.decode(reader), OPTIONS);
  if (!isValid) recoded.add(message);
  return message;
};
`;

function messageCode(type: protobuf.Type): string {
  const { encoder, decoder, converter } = makers;
  const fieldTypes = type.fieldsArray.map(({ resolvedType }) => resolvedType?.name ?? "null");
  const maps = type.fieldsArray.filter((field) => field.map).map((field) =>
    `${type.name}.ctor.prototype.${field.name} = util.emptyObject;\n`
  );
  return `${maps.join("")}{
const types = [${fieldTypes.join(", ")}];
Object.assign(${type.name}, {
encode: ${encoder(type)},
decode: ${decoder(type)},
fromObject: ${converter.fromObject(type)},
toObject: ${converter.toObject(type)},
});
}`;
}

function serviceCode(service: protobuf.Service): string {
  const methods = service.methodsArray.map((method) => {
    const request = method.resolvedRequestType?.name;
    const response = method.resolvedResponseType?.name;
    return `  ${method.name}: {
    path: "/${service.name}/${method.name}",
    originalName: "${method.name.charAt(0).toLowerCase()}${method.name.slice(1)}",
    requestStream: ${method.requestStream === true},
    responseStream: ${method.responseStream === true},
    requestSerialize: serialize(${request}),
    requestDeserialize: deserializeRequest(${request}),
    responseSerialize: serialize(${response}),
    responseDeserialize: deserialize(${response}),
  },`;
  });
  return `const ${service.name} = {\n${methods.join("\n")}\n};`;
}
