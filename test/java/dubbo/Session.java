// SPDX-License-Identifier: Apache-2.0
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.config.ReferenceConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.config.ServiceConfig;
import org.apache.dubbo.rpc.RpcContext;
import org.apache.dubbo.rpc.service.GenericService;

/** A provider and its consumer in one process: Session PORT GATE [CLIENT-PORT]. Works once GATE exists. */
public class Session {
  public static class SoldOut extends RuntimeException {
    public SoldOut(String message) {
      super(message);
    }
  }

  public interface Shop {
    String price(String item, int count);

    void note(String text);
  }

  static class Provider implements Shop {
    @Override
    public String price(String item, int count) {
      if (item.equals("gone")) throw new SoldOut(item);
      if (item.equals("slow")) pause(3000);
      return item + count;
    }

    @Override
    public void note(String text) {}
  }

  static void pause(long ms) {
    try {
      Thread.sleep(ms);
    } catch (InterruptedException stopped) {
      Thread.currentThread().interrupt();
    }
  }

  static ApplicationConfig application() {
    ApplicationConfig application = new ApplicationConfig("shop");
    application.setQosEnable(false);
    application.setParameters(Map.of("dubbo.application.metrics", "false"));
    return application;
  }

  /** A busy machine may take seconds for anything. */
  static final int PATIENCE_MS = 40_000;

  static <T> ReferenceConfig<T> reference(Class<T> type, String port, int timeoutMs) {
    ReferenceConfig<T> reference = new ReferenceConfig<>();
    reference.setApplication(application());
    reference.setInterface(type);
    reference.setVersion("1.2");
    reference.setScope("remote");
    reference.setUrl("dubbo://127.0.0.1:" + port + "?serialization=hessian2");
    reference.setTimeout(timeoutMs);
    reference.setRetries(0);
    reference.setCheck(false);
    return reference;
  }

  public static void main(String[] args) throws Exception {
    ProtocolConfig protocol = new ProtocolConfig("dubbo", Integer.parseInt(args[0]));
    protocol.setHost("127.0.0.1");
    protocol.setSerialization("hessian2");
    ServiceConfig<Shop> service = new ServiceConfig<>();
    service.setApplication(application());
    service.setRegistry(new RegistryConfig("N/A"));
    service.setProtocol(protocol);
    service.setInterface(Shop.class);
    service.setVersion("1.2");
    service.setRef(new Provider());
    service.export();
    System.out.println("ready");
    while (!Files.exists(Path.of(args[1]))) Thread.sleep(20);
    String port = args.length > 2 ? args[2] : args[0];
    Shop shop = reference(Shop.class, port, PATIENCE_MS).get();
    if (!shop.price("book", 2).equals("book2")) throw new AssertionError();
    shop.note("x".repeat(20000));
    try {
      shop.price("gone", 1);
      throw new AssertionError("no error");
    } catch (SoldOut expected) {
      // What the provider threw.
    }
    try {
      reference(Shop.class, port, 500).get().price("slow", 1);
      throw new AssertionError("no error");
    } catch (org.apache.dubbo.rpc.RpcException expected) {
      // It took too long.
    }
    RpcContext.getServiceContext().asyncCall(() -> shop.price("pen", 3)).get();
    ReferenceConfig<GenericService> unknown = reference(GenericService.class, port, PATIENCE_MS);
    unknown.setInterface("com.example.Nowhere");
    unknown.setGeneric("true");
    try {
      unknown.get().$invoke("find", new String[] {"int"}, new Object[] {7});
      throw new AssertionError("no error");
    } catch (org.apache.dubbo.rpc.RpcException expected) {
      // There is no such service.
    }
    System.out.println("done");
    Thread.sleep(60_000);
  }
}
