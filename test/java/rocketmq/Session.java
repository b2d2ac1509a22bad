// SPDX-License-Identifier: Apache-2.0
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageQueue;

/** A session with known operations: Session NAME-SERVER-PORT GATE. Works once GATE exists. */
public class Session {
  /** The broker listens before the name server knows of it. */
  static void createTopic(DefaultMQProducer producer) throws Exception {
    for (int left = 600; ; left--) {
      try {
        producer.createTopic("TBW102", "orders", 1);
        return;
      } catch (MQClientException failed) {
        if (left == 0) throw failed;
        Thread.sleep(100);
      }
    }
  }

  public static void main(String[] args) throws Exception {
    String servers = "127.0.0.1:" + args[0];
    System.out.println("ready");
    while (!Files.exists(Path.of(args[1]))) Thread.sleep(20);
    DefaultMQProducer producer = new DefaultMQProducer("billing");
    producer.setNamesrvAddr(servers);
    producer.setVipChannelEnabled(false);
    producer.setSendMsgTimeout(40_000);
    producer.setRetryTimesWhenSendFailed(0);
    producer.start();
    createTopic(producer);
    MessageQueue queue = producer.fetchPublishMessageQueues("orders").get(0);
    producer.send(new Message("orders", "new", "key-1", "hello".getBytes()), queue);
    producer.send(new Message("orders", "new", "key-2", new byte[3000]), queue);
    producer.sendOneway(new Message("orders", "audit", "key-3", "unseen".getBytes()), queue);
    try {
      producer.send(new Message("orders", "x".getBytes()), new MessageQueue("orders", "b", 77));
      throw new AssertionError("no error");
    } catch (MQBrokerException expected) {
      // There is no such queue.
    }
    while (producer.maxOffset(queue) < 3) Thread.sleep(20);
    DefaultMQPullConsumer consumer = new DefaultMQPullConsumer("readers");
    consumer.setNamesrvAddr(servers);
    consumer.setVipChannelEnabled(false);
    consumer.setConsumerPullTimeoutMillis(40_000);
    consumer.start();
    PullResult found = consumer.pull(queue, "*", 0, 32);
    if (found.getMsgFoundList().size() != 3) throw new AssertionError("not all messages");
    consumer.pull(queue, "*", 3, 32);
    consumer.updateConsumeOffset(queue, 3);
    System.out.println("done");
    producer.shutdown();
    consumer.shutdown();
    Thread.sleep(60_000);
  }
}
