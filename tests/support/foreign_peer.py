"""A client in another language, on gRPC's C core, that knows nothing of this project's contract.

usage: foreign_peer.py FOLDER ADDRESS CA CERTIFICATE KEY COMMAND [ARGUMENT]...

FOLDER has the modules that protoc makes of gRPC's own health and reflection contracts. An empty
CERTIFICATE is none. Prints what it is told, as JSON; an error of the call is {"code", "details"}.
"""

import json
import sys

folder, address, ca, certificate, key, command, *arguments = sys.argv[1:]
sys.path.insert(0, folder)

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from grpc_health.v1 import health_pb2

DEADLINE_S = 30


def read(path):
    with open(path, "rb") as file:
        return file.read()


def say(value):
    print(json.dumps(value), flush=True)


def caller(channel, path, response, kind="unary_unary"):
    return getattr(channel, kind)(
        path,
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=response.FromString,
    )


def health(channel, method, kind="unary_unary"):
    return caller(channel, "/grpc.health.v1.Health/" + method, health_pb2.HealthCheckResponse, kind)


def check(channel, service):
    request = health_pb2.HealthCheckRequest(service=service)
    answer = health(channel, "Check")(request, timeout=DEADLINE_S)
    say(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def watch(channel, service):
    request = health_pb2.HealthCheckRequest(service=service)
    for answer in health(channel, "Watch", "unary_stream")(request, timeout=DEADLINE_S):
        say(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


class Reflection:
    """What grpcurl does: asks for names, then for the files that they are in."""

    def __init__(self, channel, version):
        if version == "v1":
            from grpc_reflection.v1 import reflection_pb2
        else:
            from grpc_reflection.v1alpha import reflection_pb2
        self.messages = reflection_pb2
        path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
        self.call = caller(
            channel, path, reflection_pb2.ServerReflectionResponse, "stream_stream"
        )

    def ask(self, *questions):
        requests = [self.messages.ServerReflectionRequest(**question) for question in questions]
        return list(self.call(iter(requests), timeout=DEADLINE_S))

    def services(self):
        (answer,) = self.ask({"list_services": "*"})
        return sorted(service.name for service in answer.list_services_response.service)

    def pool(self, symbol):
        (answer,) = self.ask({"file_containing_symbol": symbol})
        if answer.HasField("error_response"):
            raise KeyError(answer.error_response.error_message)
        pool = descriptor_pool.DescriptorPool()
        for data in answer.file_descriptor_response.file_descriptor_proto:
            pool.Add(descriptor_pb2.FileDescriptorProto.FromString(data))
        return pool


def services(channel, version):
    say(Reflection(channel, version).services())


def describe(channel, version, *symbols):
    reflection = Reflection(channel, version)
    for symbol in symbols:
        try:
            file = reflection.pool(symbol).FindFileContainingSymbol(symbol)
            say({"file": file.name, "services": sorted(file.services_by_name)})
        except KeyError as error:
            say({"error": str(error)})


def call(channel, version, path, request):
    """Calls a method of which nothing is known but its path, with a request in JSON."""
    service, name = path.lstrip("/").split("/")
    pool = Reflection(channel, version).pool(service)
    method = pool.FindServiceByName(service).methods_by_name[name]
    factory = message_factory.MessageFactory(pool)
    message = json_format.Parse(request, factory.GetPrototype(method.input_type)())
    answer = caller(channel, path, factory.GetPrototype(method.output_type))(
        message, timeout=DEADLINE_S
    )
    say(json_format.MessageToDict(answer))


def main():
    pair = {"private_key": read(key), "certificate_chain": read(certificate)} if certificate else {}
    credentials = grpc.ssl_channel_credentials(root_certificates=read(ca), **pair)
    commands = {function.__name__: function for function in (check, watch, services, describe, call)}
    with grpc.secure_channel(address, credentials) as channel:
        try:
            commands[command](channel, *arguments)
        except grpc.RpcError as error:
            say({"code": error.code().name, "details": error.details()})


main()
