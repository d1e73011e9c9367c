import com.amazonaws.auth.AWSStaticCredentialsProvider;
import com.amazonaws.auth.BasicAWSCredentials;
import com.amazonaws.client.builder.AwsClientBuilder.EndpointConfiguration;
import com.amazonaws.services.sqs.AmazonSQS;
import com.amazonaws.services.sqs.AmazonSQSClientBuilder;
import com.amazonaws.services.sqs.model.CreateQueueRequest;
import com.amazonaws.services.sqs.model.Message;
import com.amazonaws.services.sqs.model.MessageAttributeValue;
import com.amazonaws.services.sqs.model.ReceiveMessageRequest;
import com.amazonaws.services.sqs.model.SendMessageBatchRequestEntry;
import com.amazonaws.services.sqs.model.SendMessageBatchResultEntry;
import com.amazonaws.services.sqs.model.SendMessageRequest;
import java.util.ArrayList;
import java.util.List;

/** The first version of Amazon's SDK for Java sends numbers, ten at a time, and receives and deletes them beside that. */
public class OldSqsNumbers {
  private static final int AT_ONCE = 10;
  private static volatile boolean stop = false;

  public static void main(String[] args) throws Exception {
    AmazonSQS sqs = AmazonSQSClientBuilder.standard()
      .withEndpointConfiguration(new EndpointConfiguration(System.getenv("BROKER"), "us-east-1"))
      .withCredentials(new AWSStaticCredentialsProvider(new BasicAWSCredentials("test", "test")))
      .build();
    String first = sqs.createQueue("first").getQueueUrl();
    MessageAttributeValue number = new MessageAttributeValue().withDataType("Number").withStringValue("1");
    sqs.sendMessage(new SendMessageRequest(first, "häß €").addMessageAttributesEntry("n", number));
    ReceiveMessageRequest all = new ReceiveMessageRequest(first).withMessageAttributeNames("All").withWaitTimeSeconds(10);
    // The SDK compares the MD5 of the body and of the attributes by itself.
    Message message = sqs.receiveMessage(all).getMessages().get(0);
    if (!message.getBody().equals("häß €") || !message.getMessageAttributes().get("n").equals(number))
      throw new AssertionError(message.toString());
    System.out.println("job a message came with its attribute");
    CreateQueueRequest create = new CreateQueueRequest("numbers").addAttributesEntry("VisibilityTimeout", "2");
    String url = sqs.createQueue(create).getQueueUrl();
    Thread receiver = new Thread(() -> receive(sqs, url));
    receiver.setDaemon(true);
    receiver.start();
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
    for (int next = 1; !stop; next += AT_ONCE) {
      List<SendMessageBatchRequestEntry> entries = new ArrayList<>();
      for (int n = next; n < next + AT_ONCE; n++) {
        System.out.println("try " + n);
        entries.add(new SendMessageBatchRequestEntry(String.valueOf(n), String.valueOf(n)));
      }
      try {
        for (SendMessageBatchResultEntry each : sqs.sendMessageBatch(url, entries).getSuccessful())
          System.out.println("confirm " + each.getId());
      } catch (Exception e) {
        // Not known.
        Thread.sleep(50);
      }
    }
    Thread.currentThread().join();
  }

  private static void receive(AmazonSQS sqs, String url) {
    ReceiveMessageRequest request = new ReceiveMessageRequest(url).withMaxNumberOfMessages(AT_ONCE).withWaitTimeSeconds(1);
    while (true) {
      try {
        for (Message message : sqs.receiveMessage(request).getMessages()) {
          System.out.println("receive " + message.getBody());
          sqs.deleteMessage(url, message.getReceiptHandle());
        }
      } catch (Exception e) {
        // It asks again.
      }
    }
  }
}
