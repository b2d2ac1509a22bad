// SPDX-License-Identifier: Apache-2.0
import com.alipay.sofa.rpc.config.ConsumerConfig;
import com.alipay.sofa.rpc.config.ProviderConfig;
import com.alipay.sofa.rpc.config.ServerConfig;
import com.alipay.sofa.rpc.core.exception.SofaRpcException;
import java.nio.file.Files;
import java.nio.file.Path;

/** A provider and its consumer in one process: Session PORT GATE [CLIENT-PORT]. Works once GATE exists. */
public class Session {
  public interface Shop {
    String price(String item, int count);
  }

  static class Provider implements Shop {
    @Override
    public String price(String item, int count) {
      if (item.equals("gone")) throw new IllegalStateException(item);
      if (item.equals("slow")) pause();
      return item + count;
    }
  }

  static void pause() {
    try {
      Thread.sleep(3000);
    } catch (InterruptedException stopped) {
      Thread.currentThread().interrupt();
    }
  }

  /** A busy machine may take seconds for anything. */
  static final int PATIENCE_MS = 40_000;

  static Shop refer(String port, String invokeType, int timeoutMs) {
    return new ConsumerConfig<Shop>()
        .setInterfaceId(Shop.class.getName())
        .setProtocol("bolt")
        .setDirectUrl("bolt://127.0.0.1:" + port)
        .setInvokeType(invokeType)
        .setTimeout(timeoutMs)
        .setConnectTimeout(PATIENCE_MS)
        .setAddressWait(PATIENCE_MS)
        .setRegister(false)
        .setSubscribe(false)
        .refer();
  }

  static void fails(Runnable call) {
    try {
      call.run();
    } catch (RuntimeException expected) {
      return;
    }
    throw new AssertionError("no error");
  }

  public static void main(String[] args) throws Exception {
    ServerConfig server =
        new ServerConfig().setProtocol("bolt").setHost("127.0.0.1").setPort(Integer.parseInt(args[0]));
    new ProviderConfig<Shop>()
        .setInterfaceId(Shop.class.getName())
        .setRef(new Provider())
        .setServer(server)
        .setRegister(false)
        .export();
    System.out.println("ready");
    while (!Files.exists(Path.of(args[1]))) Thread.sleep(20);
    String port = args.length > 2 ? args[2] : args[0];
    Shop shop = refer(port, "sync", PATIENCE_MS);
    if (!shop.price("book", 2).equals("book2")) throw new AssertionError();
    fails(() -> shop.price("gone", 1));
    fails(() -> refer(port, "sync", 500).price("slow", 1));
    refer(port, "oneway", PATIENCE_MS).price("pen", 3);
    System.out.println("done");
    Thread.sleep(60_000);
  }
}
