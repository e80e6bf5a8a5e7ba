package cumulo.runtime;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/** The Runtime API, spoken on a plain socket that stays open. */
final class RuntimeApi {
    private static final String API = "/2018-06-01/runtime/";
    private static final String ERROR_TYPE = "Lambda-Runtime-Function-Error-Type: ";

    private final String address;
    private final String host;
    private final int port;
    private Socket socket;
    private InputStream input;
    private OutputStream output;

    /** What the Runtime API says: headers by lower-case name, and the body. */
    static final class Answer {
        final int status;
        final Map<String, String> headers;
        final byte[] body;

        Answer(int status, Map<String, String> headers, byte[] body) {
            this.status = status;
            this.headers = headers;
            this.body = body;
        }

        String header(String name) {
            return headers.get(name);
        }
    }

    RuntimeApi(String address) {
        int colon = address.lastIndexOf(':');
        this.address = address;
        this.host = address.substring(0, colon);
        this.port = Integer.parseInt(address.substring(colon + 1));
    }

    Answer next() throws IOException {
        Answer answer = request("GET", "invocation/next", "", null);
        if (answer.status != 200) {
            throw new IOException("The Runtime API answered " + answer.status + " to next");
        }
        return answer;
    }

    void respond(String id, byte[] body) throws IOException {
        request("POST", "invocation/" + id + "/response", "Content-Type: application/json\r\n", body);
    }

    void fail(String id, Throwable problem) throws IOException {
        postError("invocation/" + id + "/error", problem);
    }

    void failInit(Throwable problem) throws IOException {
        postError("init/error", problem);
    }

    private void postError(String path, Throwable problem) throws IOException {
        byte[] body = Json.write(Failures.describe(problem)).getBytes(StandardCharsets.UTF_8);
        String type = Failures.type(problem).replaceAll("[^\\x20-\\x7e]", "?");
        request("POST", path, "Content-Type: application/json\r\n" + ERROR_TYPE + type + "\r\n", body);
    }

    private Answer request(String method, String path, String extra, byte[] body) throws IOException {
        String length = body == null ? "" : "Content-Length: " + body.length + "\r\n";
        String head = method + " " + API + path + " HTTP/1.1\r\nHost: " + address + "\r\n" + extra + length + "\r\n";
        byte[] headBytes = head.getBytes(StandardCharsets.ISO_8859_1);
        byte[] message = new byte[headBytes.length + (body == null ? 0 : body.length)];
        System.arraycopy(headBytes, 0, message, 0, headBytes.length);
        if (body != null) {
            System.arraycopy(body, 0, message, headBytes.length, body.length);
        }
        boolean reused = socket != null;
        try {
            return exchange(message);
        } catch (IOException closed) {
            close();
            if (!reused) {
                throw closed;
            }
            return exchange(message); // the connection had been closed meanwhile
        }
    }

    private Answer exchange(byte[] message) throws IOException {
        if (socket == null) {
            socket = new Socket(host, port);
            socket.setTcpNoDelay(true);
            input = new BufferedInputStream(socket.getInputStream(), 16384);
            output = socket.getOutputStream();
        }
        output.write(message);
        output.flush();
        Answer answer = read();
        if ("close".equalsIgnoreCase(answer.header("connection"))) {
            close();
        }
        return answer;
    }

    private void close() throws IOException {
        if (socket != null) {
            socket.close();
            socket = null;
        }
    }

    private Answer read() throws IOException {
        int status = Integer.parseInt(line().substring(9, 12));
        Map<String, String> headers = new HashMap<String, String>();
        for (String line = line(); !line.isEmpty(); line = line()) {
            int colon = line.indexOf(':');
            headers.put(line.substring(0, colon).toLowerCase(Locale.ROOT), line.substring(colon + 1).trim());
        }
        if ("chunked".equalsIgnoreCase(headers.get("transfer-encoding"))) {
            return new Answer(status, headers, readChunks());
        }
        String length = headers.get("content-length");
        return new Answer(status, headers, readBytes(length == null ? 0 : Integer.parseInt(length)));
    }

    private byte[] readChunks() throws IOException {
        ByteArrayOutputStream body = new ByteArrayOutputStream();
        for (int size = Integer.parseInt(line(), 16); size > 0; size = Integer.parseInt(line(), 16)) {
            body.write(readBytes(size));
            line();
        }
        line();
        return body.toByteArray();
    }

    private byte[] readBytes(int length) throws IOException {
        byte[] bytes = new byte[length];
        for (int done = 0; done < length; ) {
            int count = input.read(bytes, done, length - done);
            if (count < 0) {
                throw new EOFException("The Runtime API closed the connection");
            }
            done += count;
        }
        return bytes;
    }

    private String line() throws IOException {
        StringBuilder line = new StringBuilder(80);
        for (int c = input.read(); c != '\n'; c = input.read()) {
            if (c < 0) {
                throw new EOFException("The Runtime API closed the connection");
            }
            if (c != '\r') {
                line.append((char) c);
            }
        }
        return line.toString();
    }
}
