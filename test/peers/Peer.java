// An operator that isn't ours, for the proof of test/peers/run.ts: jSMPP's server sessions do all of the
// protocol, this program decides what an operator decides. It takes binds of any account by one password and
// submits with an id, refuses some recipients, says how each part ended by deliver_sm on any link of the
// account that receives, and keeps a receipt until it is acknowledged, over as many links as that takes.
//   java -cp "<jars>/*" Peer.java PORT RECORD PASSWORD
// Listens on loopback; port 0 is any. Prints `listening PORT`. Commands on stdin: `cut` ends every
// connection, whatever is under way on it, and prints `cut LINKS`; `count` prints `count TAKEN WAITING
// LINKS`: submits that were taken, receipts without an acknowledgement, bound links. Ends with its stdin.
// What it did is in the file RECORD, a line each: `taken MS ACCOUNT ID PHONE PART/PARTS`,
// `refused MS ACCOUNT PHONE`, `acked MS ID STAT`, `cut MS LINKS`.
// Invariant: a submit is in the file before its answer or a receipt on it leaves. Bound: what it took stays
// in memory, some 500 bytes a part.

import java.io.*;
import java.net.*;
import java.nio.charset.StandardCharsets;
import java.util.Date;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.*;
import java.util.concurrent.atomic.AtomicInteger;
import org.jsmpp.InvalidResponseException;
import org.jsmpp.PDUException;
import org.jsmpp.SMPPConstant;
import org.jsmpp.bean.*;
import org.jsmpp.extra.*;
import org.jsmpp.session.*;
import org.jsmpp.session.connection.*;
import org.jsmpp.session.connection.socket.*;
import org.jsmpp.util.DeliveryReceiptState;
import org.jsmpp.util.MessageId;

public final class Peer implements ServerMessageReceiverListener {
  /**
   * jSMPP waits for the answer to a receipt in the thread that sent it; if the link was cut, to the end of
   * that time. So there are more threads than receipts under way.
   */
  private static final int RECEIPTS_AT_ONCE = 128;
  private static final long RECEIPT_ANSWER_MAX_MS = 5_000;
  private static final int RECEIPT_AFTER_LEAST_MS = 200;
  private static final int RECEIPT_AFTER_MOST_MS = 1_500;
  private static final int RECEIPT_AGAIN_MS = 500;
  /** Of one link. More may wait than any window lets in, or jSMPP throttles. */
  private static final int SUBMITS_AT_ONCE = 10;
  private static final int SUBMITS_WAITING_MAX = 2_000;
  /** How long a submit waits for its answer once it is taken: so every cut finds some that wait. */
  private static final int ANSWER_AFTER_MOST_MS = 30;
  private static final long BIND_MAX_MS = 5_000;
  private static final String SYSTEM_ID = "peer";

  /** A bound connection. It stays in `links` when it has ended: submits that it read are still worked on. */
  private static final class Link {
    final String account;
    final SMPPServerSession session;
    /** Its bind is answered: before that no receipt may overtake the answer. */
    volatile boolean isReady;

    Link(String account, SMPPServerSession session) {
      this.account = account;
      this.session = session;
    }

    boolean isOpen() {
      return isReady && session.getSessionState().isBound();
    }
  }

  /** A submit that was taken, with what its receipt needs. */
  private static final class Taken {
    final String id;
    final String account;
    final SubmitSm submit;
    final Date at = new Date();
    volatile boolean isAcked;

    Taken(String id, String account, SubmitSm submit) {
      this.id = id;
      this.account = account;
      this.submit = submit;
    }
  }

  private final FileOutputStream record;
  private final String password;
  private final Sockets sockets = new Sockets();
  private final Map<SMPPServerSession, Link> links = new ConcurrentHashMap<>();
  private final Map<String, Taken> taken = new ConcurrentHashMap<>();
  private final AtomicInteger serial = new AtomicInteger();
  private final AtomicInteger waiting = new AtomicInteger();
  private final ScheduledExecutorService receipts = Executors.newScheduledThreadPool(RECEIPTS_AT_ONCE);
  private final ExecutorService binds = Executors.newCachedThreadPool();

  private Peer(String file, String password) throws IOException {
    this.record = new FileOutputStream(file, true);
    this.password = password;
  }

  public static void main(String[] args) throws IOException {
    Peer peer = new Peer(args[1], args[2]);
    peer.listen(Integer.parseInt(args[0]));
    BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
    for (String line; (line = commands.readLine()) != null; ) {
      switch (line) {
        case "cut" -> System.out.println("cut " + peer.cut());
        case "count" -> System.out.println(
            "count " + peer.taken.size() + " " + peer.waiting + " " + peer.openLinks());
        default -> System.out.println("unknown " + line);
      }
    }
    System.exit(0);
  }

  private void listen(int port) throws IOException {
    SMPPServerSessionListener listener = new SMPPServerSessionListener(port, sockets);
    listener.setPduProcessorDegree(SUBMITS_AT_ONCE);
    listener.setQueueCapacity(SUBMITS_WAITING_MAX);
    listener.setMessageReceiverListener(this);
    System.out.println("listening " + sockets.port());
    binds.execute(() -> {
      for (;;) {
        try {
          SMPPServerSession session = listener.accept();
          binds.execute(() -> bind(session));
        } catch (IOException error) {
          // The connection was cut before jSMPP had it.
        }
      }
    });
  }

  private void bind(SMPPServerSession session) {
    try {
      BindRequest request = session.waitForBind(BIND_MAX_MS);
      if (!password.equals(request.getPassword())) {
        request.reject(SMPPConstant.STAT_ESME_RINVPASWD);
        session.close();
        return;
      }
      session.setTransactionTimer(RECEIPT_ANSWER_MAX_MS);
      Link link = new Link(request.getSystemId(), session);
      links.put(session, link);
      request.accept(SYSTEM_ID, InterfaceVersion.IF_34);
      link.isReady = true;
    } catch (TimeoutException | PDUException | IOException error) {
      session.close();
    }
  }

  @Override
  public SubmitSmResult onAcceptSubmitSm(SubmitSm submit, SMPPServerSession session)
      throws ProcessRequestException {
    String account = links.get(session).account;
    String from = System.currentTimeMillis() + " " + account + " ";
    String phone = submit.getDestAddress();
    if (isRefused(phone)) {
      write("refused " + from + phone);
      pause();
      throw new ProcessRequestException("not in service", SMPPConstant.STAT_ESME_RINVDSTADR);
    }
    String id = Integer.toHexString(0x10000 + serial.incrementAndGet());
    Taken one = new Taken(id, account, submit);
    write("taken " + from + id + " " + phone + " " + partOf(submit));
    taken.put(id, one);
    if (!SMSCDeliveryReceipt.DEFAULT.containedIn(submit.getRegisteredDelivery())) {
      waiting.incrementAndGet();
      later(one, ThreadLocalRandom.current().nextInt(RECEIPT_AFTER_LEAST_MS, RECEIPT_AFTER_MOST_MS));
    }
    pause();
    try {
      return new SubmitSmResult(new MessageId(id), new OptionalParameter[0]);
    } catch (PDUException error) {
      throw new IllegalStateException(error);
    }
  }

  private void pause() {
    try {
      Thread.sleep(ThreadLocalRandom.current().nextInt(ANSWER_AFTER_MOST_MS + 1));
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
    }
  }

  private static boolean isRefused(String phone) {
    return phone.endsWith("00");
  }

  /** How every part of a recipient's messages ends, by the last two digits of the number. */
  private static DeliveryReceiptState endOf(String phone) {
    return switch (Integer.parseInt(phone.substring(phone.length() - 2))) {
      case 1, 2, 3, 4 -> DeliveryReceiptState.UNDELIV;
      case 5 -> DeliveryReceiptState.EXPIRED;
      case 6 -> DeliveryReceiptState.REJECTD;
      default -> DeliveryReceiptState.DELIVRD;
    };
  }

  private static MessageState stateOf(DeliveryReceiptState end) {
    return switch (end) {
      case UNDELIV -> MessageState.UNDELIVERABLE;
      case EXPIRED -> MessageState.EXPIRED;
      case REJECTD -> MessageState.REJECTED;
      default -> MessageState.DELIVERED;
    };
  }

  /** `2/3` of a message whose parts are joined by a header (TS 23.040, 9.2.3.24.1) or by SAR parameters. */
  private static String partOf(SubmitSm submit) {
    byte[] text = submit.getShortMessage();
    if (submit.isUdhi() && text.length > 5 && text[0] == 5 && text[1] == 0) return text[5] + "/" + text[4];
    OptionalParameter.Sar_segment_seqnum part =
        submit.getOptionalParameter(OptionalParameter.Sar_segment_seqnum.class);
    OptionalParameter.Sar_total_segments parts =
        submit.getOptionalParameter(OptionalParameter.Sar_total_segments.class);
    return part == null || parts == null ? "1/1" : part.getValue() + "/" + parts.getValue();
  }

  private void later(Taken one, int ms) {
    receipts.schedule(() -> report(one), ms, TimeUnit.MILLISECONDS);
  }

  private void report(Taken one) {
    List<Link> open = links.values().stream()
        .filter(link -> link.account.equals(one.account) && link.isOpen()
            && link.session.getSessionState().isReceivable())
        .toList();
    if (open.isEmpty()) {
      later(one, RECEIPT_AGAIN_MS);
      return;
    }
    DeliveryReceiptState end = endOf(one.submit.getDestAddress());
    try {
      deliver(open.get(ThreadLocalRandom.current().nextInt(open.size())).session, one, end);
    } catch (IOException | PDUException | ResponseTimeoutException | InvalidResponseException
        | NegativeResponseException | RuntimeException error) {
      // The link ended, or the other end asks for it later or didn't answer.
      later(one, RECEIPT_AGAIN_MS);
      return;
    }
    write("acked " + System.currentTimeMillis() + " " + one.id + " " + end);
    one.isAcked = true;
    waiting.decrementAndGet();
  }

  /** Returns when it is acknowledged. Half of the receipts say the same in parameters too. */
  private static void deliver(SMPPServerSession session, Taken one, DeliveryReceiptState end)
      throws IOException, PDUException, ResponseTimeoutException, InvalidResponseException,
      NegativeResponseException {
    SubmitSm submit = one.submit;
    boolean isDelivered = end == DeliveryReceiptState.DELIVRD;
    String text = new DeliveryReceipt(one.id, 1, isDelivered ? 1 : 0, one.at, new Date(), end,
        isDelivered ? "000" : "011", "").toString();
    OptionalParameter[] parameters = one.id.hashCode() % 2 == 0
        ? new OptionalParameter[0]
        : new OptionalParameter[] {
          new OptionalParameter.Receipted_message_id(one.id),
          new OptionalParameter.Message_state(stateOf(end).value())
        };
    session.deliverShortMessage(
        "",
        TypeOfNumber.valueOf(submit.getDestAddrTon()),
        NumberingPlanIndicator.valueOf(submit.getDestAddrNpi()),
        submit.getDestAddress(),
        TypeOfNumber.valueOf(submit.getSourceAddrTon()),
        NumberingPlanIndicator.valueOf(submit.getSourceAddrNpi()),
        submit.getSourceAddr(),
        new ESMClass(MessageMode.DEFAULT, MessageType.SMSC_DEL_RECEIPT, GSMSpecificFeature.DEFAULT),
        (byte) 0,
        (byte) 0,
        new RegisteredDelivery(0),
        DataCodings.ZERO,
        text.getBytes(StandardCharsets.US_ASCII),
        parameters);
  }

  /** What it says of a message is final once its receipt is acknowledged. */
  @Override
  public QuerySmResult onAcceptQuerySm(QuerySm query, SMPPServerSession session)
      throws ProcessRequestException {
    Taken one = taken.get(query.getMessageId());
    if (one == null) throw new ProcessRequestException("no such message", SMPPConstant.STAT_ESME_RINVMSGID);
    MessageState state = one.isAcked ? stateOf(endOf(one.submit.getDestAddress())) : MessageState.ENROUTE;
    return new QuerySmResult(null, state, (byte) 0);
  }

  private long cut() {
    long open = openLinks();
    write("cut " + System.currentTimeMillis() + " " + open);
    sockets.cut();
    return open;
  }

  private long openLinks() {
    return links.values().stream().filter(Link::isOpen).count();
  }

  private synchronized void write(String line) {
    try {
      record.write((line + "\n").getBytes(StandardCharsets.US_ASCII));
    } catch (IOException error) {
      // Without its record nothing that it does can be compared.
      error.printStackTrace();
      Runtime.getRuntime().halt(1);
    }
  }

  /** Listens on loopback only, and can end connections under jSMPP, as a cable or a router does. */
  private static final class Sockets implements ServerConnectionFactory {
    private static final int BACKLOG = 50;
    private final Set<Socket> open = ConcurrentHashMap.newKeySet();
    private ServerSocket server;

    int port() {
      return server.getLocalPort();
    }

    void cut() {
      for (Socket socket : open) {
        try {
          // Some end by a reset, which also drops answers that are on their way out.
          if (ThreadLocalRandom.current().nextBoolean()) socket.setSoLinger(true, 0);
          socket.close();
        } catch (IOException error) {
          // It had ended by itself.
        }
        open.remove(socket);
      }
    }

    @Override
    public ServerConnection listen(int port) throws IOException {
      server = new ServerSocket(port, BACKLOG, InetAddress.getLoopbackAddress());
      return new ServerSocketConnection(server) {
        @Override
        public Connection accept() throws IOException {
          Socket socket = server.accept();
          open.removeIf(Socket::isClosed);
          open.add(socket);
          socket.setTcpNoDelay(true);
          return new SocketConnection(socket);
        }
      };
    }

    @Override
    public ServerConnection listen(int port, int timeout) throws IOException {
      return listen(port);
    }

    @Override
    public ServerConnection listen(int port, int timeout, int backlog) throws IOException {
      return listen(port);
    }
  }

  /** Everything below. */
  private static ProcessRequestException notOffered() {
    return new ProcessRequestException("not offered", SMPPConstant.STAT_ESME_RINVCMDID);
  }

  @Override
  public SubmitMultiResult onAcceptSubmitMulti(SubmitMulti submit, SMPPServerSession session)
      throws ProcessRequestException {
    throw notOffered();
  }

  @Override
  public void onAcceptReplaceSm(ReplaceSm replace, SMPPServerSession session) throws ProcessRequestException {
    throw notOffered();
  }

  @Override
  public void onAcceptCancelSm(CancelSm cancel, SMPPServerSession session) throws ProcessRequestException {
    throw notOffered();
  }

  @Override
  public BroadcastSmResult onAcceptBroadcastSm(BroadcastSm broadcast, SMPPServerSession session)
      throws ProcessRequestException {
    throw notOffered();
  }

  @Override
  public void onAcceptCancelBroadcastSm(CancelBroadcastSm cancel, SMPPServerSession session)
      throws ProcessRequestException {
    throw notOffered();
  }

  @Override
  public QueryBroadcastSmResult onAcceptQueryBroadcastSm(QueryBroadcastSm query, SMPPServerSession session)
      throws ProcessRequestException {
    throw notOffered();
  }

  @Override
  public DataSmResult onAcceptDataSm(DataSm data, Session session) throws ProcessRequestException {
    throw notOffered();
  }
}
