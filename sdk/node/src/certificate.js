/**
 * A certificate for one process: P-256, self-signed, for localhost. Node can
 * sign and has no writer of certificates, so the structure is put together here.
 */
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";

/** One DER element. */
function der(tag, ...parts) {
  const content = Buffer.concat(parts);
  const n = content.length;
  const length = n < 128 ? [n] : n < 256 ? [0x81, n] : [0x82, n >> 8, n & 255];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}

const sequence = (...parts) => der(0x30, ...parts);
const oid = (...body) => der(0x06, Buffer.from(body));
const utcTime = (at) => der(0x17, Buffer.from(`${at.toISOString().replace(/[-:T]/g, "").slice(2, 14)}Z`));
const yes = der(0x01, Buffer.from([0xff]));

const ecdsaWithSHA256 = sequence(oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02));
const commonName = oid(0x55, 0x04, 0x03);
const basicConstraints = oid(0x55, 0x1d, 0x13);
const keyUsage = oid(0x55, 0x1d, 0x0f);
const subjectAltName = oid(0x55, 0x1d, 0x11);

const day = 86_400_000;

/**
 * Makes a key and its certificate: { key, cert } in PEM and { der } as the
 * handshake carries it.
 */
export function newCertificate(now = Date.now()) {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const name = sequence(der(0x31, sequence(commonName, der(0x0c, Buffer.from("localhost")))));
  const extension = (id, critical, content) => sequence(id, ...(critical ? [yes] : []), der(0x04, content));
  const extensions = der(0xa3, sequence(
    extension(basicConstraints, true, sequence(yes)),
    // Signs, agrees on keys, and certifies itself.
    extension(keyUsage, true, der(0x03, Buffer.from([0x02, 0x8c]))),
    extension(subjectAltName, false, sequence(der(0x82, Buffer.from("localhost")))),
  ));
  const serial = randomBytes(16);
  serial[0] = (serial[0] & 0x3f) | 0x40; // positive, and of full length
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))), der(0x02, serial), ecdsaWithSHA256, name,
    sequence(utcTime(new Date(now - day)), utcTime(new Date(now + 365 * day))), name,
    publicKey.export({ type: "spki", format: "der" }), extensions,
  );
  const signature = der(0x03, Buffer.from([0]), sign("sha256", body, privateKey));
  const whole = sequence(body, ecdsaWithSHA256, signature);
  return {
    der: whole,
    cert: `-----BEGIN CERTIFICATE-----\n${whole.toString("base64").replace(/.{64}/g, "$&\n")}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: "pkcs8", format: "pem" }),
  };
}
