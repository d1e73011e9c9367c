import com.amazon.sqs.javamessaging.ProviderConfiguration;
import com.amazon.sqs.javamessaging.SQSConnection;
import com.amazon.sqs.javamessaging.SQSConnectionFactory;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Session;
import jakarta.jms.TextMessage;
import java.net.URI;
import java.util.Map;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.sqs.SqsClient;
import software.amazon.awssdk.services.sqs.model.QueueAttributeName;

/** JMS over SQS: a producer sends numbers one by one, and a listener takes them. */
public class JmsNumbers {
  private static volatile boolean stop = false;

  public static void main(String[] args) throws Exception {
    SqsClient sqs = SqsClient.builder()
      .endpointOverride(URI.create(System.getenv("BROKER")))
      .region(Region.US_EAST_1)
      .credentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("test", "test")))
      .build();
    Map<QueueAttributeName, String> visible = Map.of(QueueAttributeName.VISIBILITY_TIMEOUT, "2");
    sqs.createQueue(r -> r.queueName("numbers").attributes(visible));
    sqs.createQueue(r -> r.queueName("first"));
    SQSConnection connection = new SQSConnectionFactory(new ProviderConfiguration(), sqs).createConnection();
    Session session = connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
    MessageProducer first = session.createProducer(session.createQueue("first"));
    MessageConsumer taken = session.createConsumer(session.createQueue("first"));
    connection.start();
    TextMessage sent = session.createTextMessage("häß €");
    sent.setIntProperty("n", 1);
    sent.setJMSCorrelationID("c");
    first.send(sent);
    TextMessage came = (TextMessage) taken.receive(10_000);
    if (!came.getText().equals("häß €") || came.getIntProperty("n") != 1 || !came.getJMSCorrelationID().equals("c"))
      throw new AssertionError(came.toString());
    System.out.println("job a text with a property and a correlation id came as it was sent");
    Session listening = connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
    listening.createConsumer(listening.createQueue("numbers")).setMessageListener(message -> {
      try {
        System.out.println("receive " + ((TextMessage) message).getText());
      } catch (jakarta.jms.JMSException e) {
        throw new IllegalStateException(e);
      }
    });
    MessageProducer numbers = session.createProducer(session.createQueue("numbers"));
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
        numbers.send(session.createTextMessage(String.valueOf(next)));
        System.out.println("confirm " + next);
      } catch (Exception e) {
        // Not known.
        Thread.sleep(50);
      }
    }
    Thread.currentThread().join();
  }
}
