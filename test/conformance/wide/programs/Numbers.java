import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.MessageProperties;
import java.util.concurrent.locks.LockSupport;

/** Publishes numbers with confirms and consumes them with acks; the client reconnects by itself, consumers included. */
public class Numbers {
  private static final String QUEUE = "numbers";
  private static volatile boolean stop = false;

  public static void main(String[] args) throws Exception {
    ConnectionFactory factory = new ConnectionFactory();
    factory.setUri(args[0]);
    factory.setNetworkRecoveryInterval(100);
    Connection connection = factory.newConnection();
    Channel consuming = connection.createChannel();
    consuming.queueDeclare(QUEUE, true, false, false, null);
    consuming.basicQos(5);
    consuming.basicConsume(QUEUE, false, (tag, delivery) -> {
      System.out.println("receive " + new String(delivery.getBody()));
      // Slower than the publisher: at a kill there are messages that only the broker has.
      LockSupport.parkNanos(5_000_000);
      consuming.basicAck(delivery.getEnvelope().getDeliveryTag(), false);
    }, tag -> { });
    Channel publishing = connection.createChannel();
    publishing.confirmSelect();
    Thread reader = new Thread(() -> {
      try {
        System.in.read();
      } catch (java.io.IOException e) {
        // As if it had been told.
      }
      stop = true;
    });
    reader.setDaemon(true);
    reader.start();
    for (int next = 1; !stop; next++) {
      System.out.println("try " + next);
      try {
        byte[] body = String.valueOf(next).getBytes();
        publishing.basicPublish("", QUEUE, MessageProperties.MINIMAL_PERSISTENT_BASIC, body);
        if (publishing.waitForConfirms(5000)) System.out.println("confirm " + next);
      } catch (Exception e) {
        // Not known. The client is about to reconnect.
        Thread.sleep(50);
      }
    }
    Thread.currentThread().join();
  }
}
