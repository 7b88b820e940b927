// A TLS front of a Temporal server: writes the authorization header of each call to standard output, refuses calls by name.
// node grpc_proxy.mjs TARGET_PORT CERTIFICATE KEY [REFUSED_PATH_PART=GRPC_STATUS ...]
import http2 from "node:http2";
import fs from "node:fs";

const [port, certificate, key, ...refused] = process.argv.slice(2);
const refusals = refused.map((one) => one.split("="));
const server = http2.createSecureServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) });
const target = http2.connect(`http://127.0.0.1:${port}`);

server.on("stream", (stream, headers) => {
  stream.on("error", () => {});
  console.log(JSON.stringify({ path: headers[":path"], authorization: headers.authorization ?? null }));
  const status = refusals.find(([part]) => headers[":path"].includes(part))?.[1];
  if (status) {
    stream.respond(
      { ":status": 200, "content-type": "application/grpc", "grpc-status": status, "grpc-message": "refused" },
      { endStream: true },
    );
    return;
  }
  const forwarded = Object.fromEntries(Object.entries(headers).filter(([name]) => name !== ":authority"));
  const call = target.request(forwarded);
  call.on("error", () => stream.close());
  call.on("response", (answer) => stream.respond(answer, { waitForTrailers: true }));
  let trailers = {};
  call.on("trailers", (sent) => (trailers = sent));
  stream.on("wantTrailers", () => stream.sendTrailers(trailers));
  stream.pipe(call);
  call.pipe(stream);
});
server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: server.address().port })));
