// The websocket to the server: commands with answers, events, and frames. It reconnects by itself.

export class Connection extends EventTarget {
  constructor(address) {
    super();
    this.address = address;
    this.waiting = new Map();
    this.number = 0;
    this.delay = 250;
    this.open();
  }

  open() {
    this.socket = new WebSocket(this.address);
    this.socket.binaryType = "arraybuffer";
    this.socket.addEventListener("open", () => {
      this.delay = 250;
      this.emit("connected");
    });
    this.socket.addEventListener("message", ({ data }) => (typeof data === "string" ? this.text(JSON.parse(data)) : this.frame(data)));
    this.socket.addEventListener("close", () => {
      for (const { reject } of this.waiting.values()) reject(new Error("The studio does not answer."));
      this.waiting.clear();
      this.emit("lost");
      setTimeout(() => this.open(), this.delay);
      this.delay = Math.min(3000, this.delay * 1.6);
    });
  }

  emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  text(message) {
    if (message.event) {
      this.emit(message.event, message);
      return;
    }
    const waiting = this.waiting.get(message.id);
    this.waiting.delete(message.id);
    if (message.error) waiting?.reject(new Error(message.error));
    else waiting?.resolve(message.result);
  }

  /** A frame: the length of a JSON object, the object, a JPEG. */
  frame(data) {
    const length = new DataView(data).getUint32(0);
    const about = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
    this.emit("frame", { ...about, image: new Blob([new Uint8Array(data, 4 + length)], { type: "image/jpeg" }) });
  }

  /** Send a command; resolves to its result, and rejects with its error. */
  ask(name, args = {}) {
    return new Promise((resolve, reject) => {
      if (this.socket.readyState !== WebSocket.OPEN) {
        reject(new Error("The studio does not answer."));
        return;
      }
      const id = ++this.number;
      this.waiting.set(id, { resolve, reject });
      this.socket.send(JSON.stringify({ ...args, id, do: name }));
    });
  }
}
