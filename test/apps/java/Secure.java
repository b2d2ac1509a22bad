// SPDX-License-Identifier: Apache-2.0
import com.sun.net.httpserver.HttpServer;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.security.KeyStore;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.TrustManagerFactory;

/**
 * HTTPS by both of JSSE's interfaces.
 *
 * <p>Secure.java serve engine|socket PORT KEYSTORE PASSWORD
 *
 * <p>Secure.java call url|client PORT KEYSTORE PASSWORD COUNT CONTROL: for each connection to the
 * port CONTROL asks for /java/0 to /java/COUNT-1, four at a time, and says "done" there.
 */
public class Secure {
  public static void main(String[] args) throws Exception {
    int port = Integer.parseInt(args[2]);
    SSLContext tls = context(args[3], args[4].toCharArray());
    if (args[0].equals("call")) call(args[1], port, tls, args);
    else if (args[1].equals("engine")) serveEngine(port, tls);
    else serveSockets(port, tls);
  }

  /** The store holds the key and, for clients, the certificate to trust. */
  static SSLContext context(String path, char[] password) throws Exception {
    KeyStore store = KeyStore.getInstance("PKCS12");
    try (FileInputStream in = new FileInputStream(path)) {
      store.load(in, password);
    }
    KeyManagerFactory keys = KeyManagerFactory.getInstance("SunX509");
    keys.init(store, password);
    KeyStore trusted = KeyStore.getInstance("PKCS12");
    trusted.load(null, null);
    String alias = store.aliases().nextElement();
    trusted.setCertificateEntry("peer", store.getCertificate(alias));
    TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
    trust.init(trusted);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
    return context;
  }

  /** com.sun.net.httpserver: SSLEngine. */
  static void serveEngine(int port, SSLContext tls) throws IOException {
    HttpsServer server = HttpsServer.create(new InetSocketAddress("127.0.0.1", port), 64);
    server.setHttpsConfigurator(new HttpsConfigurator(tls));
    server.createContext(
        "/",
        exchange -> {
          byte[] body = answerTo(exchange.getRequestURI().getPath());
          exchange.sendResponseHeaders(200, body.length);
          exchange.getResponseBody().write(body);
          exchange.close();
        });
    server.setExecutor(Executors.newFixedThreadPool(8));
    server.start();
  }

  static byte[] answerTo(String path) {
    return (path + "\n").getBytes(StandardCharsets.UTF_8);
  }

  /** A thread a connection: SSLSocket. */
  static void serveSockets(int port, SSLContext tls) throws IOException {
    SSLServerSocket listener = (SSLServerSocket) tls.getServerSocketFactory().createServerSocket();
    listener.bind(new InetSocketAddress("127.0.0.1", port));
    ExecutorService threads = Executors.newCachedThreadPool();
    while (true) {
      Socket socket = listener.accept();
      threads.execute(() -> serveOne(socket));
    }
  }

  static void serveOne(Socket socket) {
    try (socket) {
      BufferedReader in = new BufferedReader(new InputStreamReader(socket.getInputStream()));
      OutputStream out = socket.getOutputStream();
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        String path = line.split(" ")[1];
        while (!line.isEmpty()) line = in.readLine();
        byte[] body = answerTo(path);
        String head = "HTTP/1.1 200 OK\r\ncontent-length: " + body.length + "\r\n\r\n";
        out.write((head + new String(body, StandardCharsets.UTF_8)).getBytes());
        out.flush();
      }
    } catch (IOException gone) {
      // The client went away.
    }
  }

  static void call(String how, int port, SSLContext tls, String[] args) throws Exception {
    int count = Integer.parseInt(args[5]);
    ServerSocket control = new ServerSocket(Integer.parseInt(args[6]));
    HttpsURLConnection.setDefaultSSLSocketFactory(tls.getSocketFactory());
    HttpClient client =
        HttpClient.newBuilder().sslContext(tls).version(HttpClient.Version.HTTP_1_1).build();
    ExecutorService pool = Executors.newFixedThreadPool(4);
    System.out.println("waiting");
    while (true) {
      Socket asked = control.accept();
      List<CompletableFuture<Integer>> all = new ArrayList<>();
      for (int at = 0; at < count; at++) {
        URI address = URI.create("https://localhost:" + port + "/java/" + at);
        all.add(how.equals("url") ? byUrl(address.toURL(), pool) : byClient(address, client));
        if (at % 4 == 3) for (CompletableFuture<Integer> one : all) one.get();
      }
      boolean isRight = true;
      for (CompletableFuture<Integer> one : all) isRight &= one.get() == 200;
      asked.getOutputStream().write((isRight ? "done" : "wrong").getBytes());
      asked.close();
    }
  }

  static CompletableFuture<Integer> byUrl(URL address, ExecutorService pool) {
    return CompletableFuture.supplyAsync(
        () -> {
          try {
            HttpsURLConnection call = (HttpsURLConnection) address.openConnection();
            call.getInputStream().readAllBytes();
            return call.getResponseCode();
          } catch (IOException error) {
            throw new IllegalStateException(error);
          }
        },
        pool);
  }

  static CompletableFuture<Integer> byClient(URI address, HttpClient client) {
    HttpRequest request = HttpRequest.newBuilder(address).build();
    return client.sendAsync(request, BodyHandlers.ofString()).thenApply(one -> one.statusCode());
  }
}
