// SPDX-License-Identifier: Apache-2.0
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** A session with known operations: Session PORT GATE. Works once the file GATE exists. */
public class Session {
  public static void main(String[] args) throws Exception {
    String brokers = "127.0.0.1:" + args[0];
    System.out.println("ready");
    while (!Files.exists(Path.of(args[1]))) Thread.sleep(20);
    createTopics(brokers);
    produce(brokers);
    produceUnacknowledged(brokers);
    produceInVain(brokers);
    consume(brokers);
    System.out.println("done");
  }

  static Properties common(String brokers, String clientId) {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", brokers);
    properties.put("client.id", clientId);
    properties.put("enable.metrics.push", "false");
    return properties;
  }

  static void createTopics(String brokers) throws Exception {
    try (Admin admin = Admin.create(common(brokers, "shop-admin"))) {
      NewTopic strict = new NewTopic("strict", 1, (short) 1);
      strict.configs(Map.of("max.message.bytes", "80"));
      NewTopic orders = new NewTopic("orders", 2, (short) 1);
      NewTopic audit = new NewTopic("audit", 1, (short) 1);
      admin.createTopics(List.of(orders, strict, audit)).all().get();
    }
  }

  static KafkaProducer<String, String> producer(String brokers, String clientId, String acks) {
    Properties properties = common(brokers, clientId);
    properties.put("acks", acks);
    properties.put("enable.idempotence", "false");
    properties.put("retries", "0");
    properties.put("linger.ms", "500");
    properties.put("compression.type", "gzip");
    return new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer());
  }

  /** One batch of three records in partition 1, then one of one. */
  static void produce(String brokers) throws Exception {
    try (KafkaProducer<String, String> producer = producer(brokers, "shop-orders", "all")) {
      for (int number = 0; number < 3; number++) {
        producer.send(new ProducerRecord<>("orders", 1, "key", "order " + number));
      }
      producer.flush();
      producer.send(new ProducerRecord<>("orders", 1, "key", "the last order")).get();
    }
  }

  static void produceUnacknowledged(String brokers) {
    try (KafkaProducer<String, String> producer = producer(brokers, "shop-audit", "0")) {
      producer.send(new ProducerRecord<>("audit", 0, null, "nobody answers"));
      producer.flush();
    }
  }

  static void produceInVain(String brokers) throws Exception {
    try (KafkaProducer<String, String> producer = producer(brokers, "shop-strict", "all")) {
      producer.send(new ProducerRecord<>("strict", 0, null, "x".repeat(40) + "a message that is too large for its topic: 0123456789")).get();
    } catch (ExecutionException expected) {
      System.out.println("refused: " + expected.getCause().getClass().getSimpleName());
    }
  }

  static void consume(String brokers) {
    Properties properties = common(brokers, "billing-1");
    properties.put("group.id", "billing");
    properties.put("group.protocol", "classic");
    properties.put("auto.offset.reset", "earliest");
    properties.put("enable.auto.commit", "false");
    properties.put("fetch.max.wait.ms", "200");
    try (KafkaConsumer<String, String> consumer =
        new KafkaConsumer<>(properties, new StringDeserializer(), new StringDeserializer())) {
      consumer.subscribe(List.of("orders"));
      int count = 0;
      long end = System.nanoTime() + Duration.ofSeconds(20).toNanos();
      while (count < 4 && System.nanoTime() < end) {
        count += consumer.poll(Duration.ofMillis(200)).count();
      }
      consumer.commitSync();
      System.out.println("consumed " + count);
    }
  }
}
