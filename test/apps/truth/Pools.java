// SPDX-License-Identifier: Apache-2.0
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * An ordinary Java service: a fixed pool handles requests and calls each --downstream in turn; each
 * --parallel is submitted to a second pool, or called in turn with --in-turn. With --virtual each
 * of those has a virtual thread of its own; with --async all are stages of java.net.http.HttpClient.
 *
 * java Pools.java --listen 127.0.0.1:0 [--downstream URL]... [--parallel URL]... [--in-turn yes] [--virtual yes] [--async yes]
 */
public class Pools {
  static final List<String> DOWNSTREAM = new ArrayList<>();
  static final List<String> PARALLEL = new ArrayList<>();
  static ExecutorService handlers = Executors.newFixedThreadPool(64);
  static ExecutorService calls = Executors.newFixedThreadPool(64);
  static boolean inTurn;
  static boolean isAsync;
  static HttpClient client;

  public static void main(String[] args) throws Exception {
    String listen = "127.0.0.1:0";
    for (int at = 0; at + 1 < args.length; at += 2) {
      switch (args[at]) {
        case "--listen" -> listen = args[at + 1];
        case "--downstream" -> DOWNSTREAM.add(args[at + 1]);
        case "--parallel" -> PARALLEL.add(args[at + 1]);
        case "--in-turn" -> inTurn = true;
        case "--async" -> isAsync = true;
        case "--virtual" -> calls = handlers = virtualThreads();
        case "--connections" -> System.setProperty("http.maxConnections", args[at + 1]);
        default -> throw new IllegalArgumentException(args[at]);
      }
    }
    String[] parts = listen.split(":");
    InetSocketAddress address = new InetSocketAddress(parts[0], Integer.parseInt(parts[1]));
    HttpServer server = HttpServer.create(address, 512);
    if (isAsync) client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    server.createContext("/", isAsync ? Pools::answerLater : Pools::answer);
    server.setExecutor(handlers);
    server.start();
  }

  /** A thread for each task; by name, so that this compiles on older JDKs too. */
  static ExecutorService virtualThreads() throws ReflectiveOperationException {
    return (ExecutorService)
        Executors.class.getMethod("newVirtualThreadPerTaskExecutor").invoke(null);
  }

  static void answer(HttpExchange exchange) throws IOException {
    String path = exchange.getRequestURI().getPath();
    String id = path.substring(path.lastIndexOf('/') + 1);
    int status = 200;
    try {
      for (String base : DOWNSTREAM) status = Math.max(status, ask(base, id));
      List<Future<Integer>> submitted = new ArrayList<>();
      for (String base : PARALLEL) {
        if (inTurn) status = Math.max(status, ask(base, id));
        else submitted.add(calls.submit(() -> ask(base, id)));
      }
      for (Future<Integer> one : submitted) status = Math.max(status, one.get());
    } catch (Exception error) {
      status = 502;
    }
    byte[] body = (id + "\n").getBytes();
    exchange.sendResponseHeaders(status, body.length);
    exchange.getResponseBody().write(body);
    exchange.close();
  }

  /** The same as a chain of stages: no thread waits for anything. */
  static void answerLater(HttpExchange exchange) {
    String path = exchange.getRequestURI().getPath();
    String id = path.substring(path.lastIndexOf('/') + 1);
    CompletableFuture<Integer> status = CompletableFuture.completedFuture(200);
    for (String base : DOWNSTREAM) {
      status = status.thenCompose(before -> askLater(base, id).thenApply(now -> Math.max(before, now)));
    }
    status
        .thenComposeAsync(
            before -> {
              CompletableFuture<Integer> all = CompletableFuture.completedFuture(before);
              for (String base : PARALLEL) all = all.thenCombine(askLater(base, id), Math::max);
              return all;
            })
        .exceptionally(error -> 502)
        .thenAccept(
            code -> {
              try {
                byte[] body = (id + "\n").getBytes();
                exchange.sendResponseHeaders(code, body.length);
                exchange.getResponseBody().write(body);
              } catch (IOException gone) {
                // The client does not want it any more.
              }
              exchange.close();
            });
  }

  static CompletableFuture<Integer> askLater(String base, String id) {
    HttpRequest request = HttpRequest.newBuilder(URI.create(base + "/" + id)).build();
    return client.sendAsync(request, BodyHandlers.ofString()).thenApply(answer -> answer.statusCode());
  }

  static int ask(String base, String id) throws IOException {
    HttpURLConnection call = (HttpURLConnection) new URL(base + "/" + id).openConnection();
    int status = call.getResponseCode();
    call.getInputStream().readAllBytes();
    return status;
  }
}
