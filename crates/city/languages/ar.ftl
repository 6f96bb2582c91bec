# ما تقوله الصفحات بالعربية. الصيغة: Fluent (projectfluent.org).
language-name = العربية
direction = rtl

## pages
site-name = { $city } تُصغي
skip = انتقل إلى المحتوى
nav = الصفحات
nav-languages = اللغات
nav-city = المدينة
nav-messages = الرسائل
nav-data = بيانات مفتوحة
nav-about = كيف يعمل هذا، وما هي حقوقك
foot-what = لا تسجّل الأكشاك إلا عندما تختار ذلك بنفسك. يستمع إنسان قبل أن يُنشر أي شيء.
foot-withdraw = استرجع رسالتك
foot-kiosk = لشاشة على الحائط
foot-contact = اسألنا:
foot-licence = يمكن استخدام ما نُشر هنا بحرية وفق الرخصة { $licence }.
foot-no-cookie = لا تضع هذه الصفحات ملفات تعريف ولا تتعقب أحدًا.
fault-404 = هذه الصفحة غير موجودة هنا
fault-404-what = ربما استُرجعت الرسالة، أو كُتب العنوان خطأً.
fault-503 = ليس الآن
fault-503-what = لم يُجب المخزن. حاول مرة أخرى بعد لحظة. لم يُنجَز شيء منقوصًا.
fault-unread = لا يمكن قراءة هذا العنوان أو هذا النموذج. ارجع واستخدم روابط الصفحات.
fault-many-files = كثيرون يحمّلون الملفات الآن. حاول مرة أخرى بعد دقيقة.
fault-other = لم ينجح ذلك
fault-home = إلى الصفحة الأولى
thousands = {","}
decimal = {"."}
few = أقل من 5
percent = { $n } %
date = { $day } { $month } { $year }
month-1 = يناير
month-2 = فبراير
month-3 = مارس
month-4 = أبريل
month-5 = مايو
month-6 = يونيو
month-7 = يوليو
month-8 = أغسطس
month-9 = سبتمبر
month-10 = أكتوبر
month-11 = نوفمبر
month-12 = ديسمبر
short-month-1 = يناير
short-month-2 = فبراير
short-month-3 = مارس
short-month-4 = أبريل
short-month-5 = مايو
short-month-6 = يونيو
short-month-7 = يوليو
short-month-8 = أغسطس
short-month-9 = سبتمبر
short-month-10 = أكتوبر
short-month-11 = نوفمبر
short-month-12 = ديسمبر
weekday-1 = إثنين
weekday-2 = ثلاثاء
weekday-3 = أربعاء
weekday-4 = خميس
weekday-5 = جمعة
weekday-6 = سبت
weekday-7 = أحد
part-night = ليلًا
part-morning = صباحًا
part-afternoon = بعد الظهر
part-evening = مساءً
source-booth = من كشك هاتف
source-web = من الإنترنت
source-phone = بالهاتف
source-workshop = من ورشة
source-part = { $source } { $shown }
week-of = أسبوع { $day }
from-until = من { $from } إلى { $until }
from-on = من { $from }
until-day = حتى { $day }
area = المنطقة
theme = الموضوع
themes = المواضيع
themes-all = كل المواضيع
time = الوقت
number = العدد
all-messages = كل الرسائل
booth-days = أيام الكشك
per-booth-day = رسائل لكل يوم كشك
messages-n = { $n ->
    [zero] لا رسائل
    [one] رسالة واحدة
    [two] رسالتان
    [few] { $shown } رسائل
    [many] { $shown } رسالة
   *[other] { $shown } رسالة
 }
votes-n = { $n ->
    [zero] لا أصوات
    [one] صوت واحد
    [two] صوتان
    [few] { $shown } أصوات مُدلى بها
   *[other] { $shown } صوتًا مُدلى به
 }
booth-days-n = من { $shown } يوم كشك: بعدد المرات التي كانت فيها الأكشاك جاهزة 24 ساعة.
seconds-n = { $n ->
    [one] ثانية واحدة
    [two] ثانيتان
    [few] { $shown } ثوانٍ
   *[other] { $shown } ثانية
 }
city-title = ماذا تقول { $city }؟
city-lead = ارفع السماعة في أحد أكشاك الهاتف في المدينة، أو أجب من بيتك. هنا يستطيع الجميع أن يسمعوا ما قيل، وأن يروا ما نتج عنه.
city-asked = ما نسأل عنه الآن
city-nothing-asked = لا يوجد سؤال مفتوح الآن. انظر ما نتج عن الأسئلة السابقة.
city-stands = أين تقف الأكشاك الآن
city-heard = ما سمعناه
city-said = ما يقوله الناس
city-campaigns = القضايا، وما نتج عنها
city-seen = الرسائل في صور
booth-ready = جاهز لك
booth-not-ready = لا يستقبل الرسائل الآن
booth-unknown = لم يُبلغ عن حاله
answer-here = أجب هنا
vote-here = صوّت هنا
phase-soon = يبدأ قريبًا
phase-open = مفتوح
phase-processing = قيد المعالجة
phase-vote = تصويت
phase-decided = تقرّر
came-of-it = ما نتج عن ذلك
came-soon = لم تُفتح الأسئلة بعد.
came-open = ما زالت الأسئلة مفتوحة. سيظهر رد المدينة هنا بعد إغلاقها ومعالجتها.
came-processing = تُقرأ الرسائل الآن. سيظهر رد المدينة هنا.
came-vote = المقترحات قيد التصويت. ستظهر النتيجة ورد المدينة هنا.
replied-on = رد المدينة، { $day }
figure-received = رسائل واردة
figure-published = رسائل منشورة
figure-heard = رسائل سُمعت وعُدّت ولم تُعرض
figure-heard-what = لم يوافق صاحبها على النشر، أو لا يصلح محتواها له.
figure-waiting = رسائل تنتظر أن تُسمع
figure-rejected = رسائل مرفوضة
figure-withdrawn = رسائل استُرجعت
figure-expired = رسائل حُذفت لانتهاء مدتها
votes-cast = أصوات مُدلى بها
messages-what = سمع إنسان كل رسالة أو قرأها قبل أن تظهر هنا. الأحدث أولًا.
messages-none = لا توجد رسائل منشورة هنا بعد.
messages-all = كل الرسائل المنشورة
messages-all-campaign = كل الرسائل عن هذه القضية
messages-all-question = كل الرسائل عن هذا السؤال
messages-all-area = كل الرسائل من هذه المنطقة
messages-older = رسائل أقدم
messages-newest = الأحدث
messages-by-theme = اختر موضوعًا
messages-show = اعرض
message-open = اقرأ الرسالة
message-open-voice = اقرأ الرسالة واسمعها
message-title = رسالة { $day }
message-hear = اسمع الرسالة
message-transcript = ما قيل
message-text = ما كُتب
message-translation = ترجمة
message-text-only = نُشر النص فقط. لا يمكن سماع الصوت هنا.
message-became = ما آلت إليه
message-read = سمع إنسان هذه الرسالة أو قرأها، وهي معدودة.
message-phase = القضية الآن: { $phase }.
message-yours = هل هي لك؟
message-yours-what = بالإيصال المكوّن من اثني عشر رقمًا يمكنك استرجاعها، فتختفي من هنا خلال دقيقة.
message-withdraw = استرجع رسالة
message-licence = يمكن استخدام الرسالة بحرية وفق الرخصة { $licence }.
translated = مترجمة
translated-from = مترجمة من: { $language }
report-title = هل هناك خطأ؟
report-what = اكتب لنا إذا كانت الرسالة تذكر شخصًا أو تؤذيه أو ما كان ينبغي أن تكون هنا. سينظر فيها أحد الموظفين.
report-why = ما الخطأ؟
report-send = أرسل
report-empty = اكتب بكلمات قليلة ما الخطأ.
report-too-many = وصلت بلاغات كثيرة من هنا خلال وقت قصير. لم يُحفظ شيء؛ انتظر عشر دقائق ثم حاول مرة أخرى.
report-thanks = شكرًا
report-thanks-what = سينظر أحد الموظفين في الرسالة. لا نعرف من أنت، لذلك لا نستطيع أن نجيبك.
report-back = عودة إلى الرسالة
campaign-questions = الأسئلة
campaign-no-questions = لم تعد الأكشاك تسأل عن ذلك.
campaign-phases = المراحل
campaign-ideas = مقترحات نتجت عن الرسائل
campaign-feed = تابع القضية في قارئ أخبار (Atom)
campaign-print = للورشة: ورقة للطباعة
idea-messages-n = { $n ->
    [one] مبني على رسالة واحدة
    [two] مبني على رسالتين
    [few] مبني على { $shown } رسائل
   *[other] مبني على { $shown } رسالة
 }
question-hear = اسمع السؤال
question-hear-in = يمكن سماع السؤال بلغة: { $language }
question-wordings = تم تغيير السؤال
question-wordings-how = تُحسب الإجابات على كل الصيغ معًا.
question-options = ما يمكنك اختياره
question-closed = السؤال مغلق.
question-result = النتيجة
question-said = بماذا يجيب الناس
reply-hear = اسمع رد المدينة
votes-not-voters = هذه أصوات مُدلى بها وليست أشخاصًا. لا أحد يعرف من صوّت.
area-stands = أين وقفت الأكشاك هنا
area-no-booth = لم يقف كشك هنا. لذلك فإن غياب الرسائل لا يعني أن لا أحد لديه ما يقوله.
about-lead = تُصغي { $city } عبر أكشاك الهاتف في الشارع وعبر هذه الصفحات. المشاركة طوعية، ولا تقول من أنت.
about-how = كيف يعمل هذا
about-step-1 = ترفع السماعة وتسمع من يسأل ولماذا. لا يُسجَّل شيء بعد.
about-step-2 = تختار سؤالًا برقم، أو تجيب في هذه الصفحات. عندها فقط يبدأ التسجيل.
about-step-3 = بعد ذلك يمكنك أن تسمعه أو تعيده أو تحذفه وأن تأخذ إيصالًا من اثني عشر رقمًا. أنت تقرر هل يُنشر النص أو الصوت. إن لم تقل شيئًا فلا يُنشر.
about-step-4 = يستمع إنسان ويكتب ما قيل ويقرر هل يمكن نشره. لا يُنشر شيء بلا نص.
about-step-5 = تُجمع الرسائل المتشابهة في مقترح. يُصوَّت على بعضها. وفي النهاية يُكتب هنا ما نتج عنها.
about-rights = حقوقك
about-right-know = يمكنك أن تعرف ما لدينا عنك، وأن تطلب تصحيحه أو حذفه.
about-right-withdraw = بالإيصال يمكنك استرجاع رسالتك في أي وقت، في الكشك أو هنا. تختفي من الصفحات خلال دقيقة.
about-right-without = إن لم يكن لديك إيصال فاكتب لنا المكان واليوم والوقت التقريبي. نبحث عن الرسالة ونجيب خلال شهر.
about-right-children = إذا تكلم طفل فلا ننشر الصوت أبدًا.
about-right-complain = إن لم تكن راضيًا يمكنك أن تشتكي إلينا وإلى هيئة حماية البيانات.
about-listen = من يستمع
about-listen-what = يستمع موظفون في { $city } عُيّنوا لذلك. يُدوَّن كل استماع. لا تُستخدم الأصوات لمعرفة من يتكلم.
about-partners = يستمع أيضًا هؤلاء الشركاء:
about-kept = كم نحتفظ بالأشياء
about-kept-what = تُحذف التسجيلات بعد مدة محددة. تُحفظ الأعداد مدة أطول من الكلمات.
kept-waiting = رسالة لم يبتّ فيها أحد. الأيام بعد وصولها: { $shown }.
kept-rejected = رسالة مرفوضة. الأيام بعد رفضها: { $shown }.
kept-heard = رسالة عُدّت ولم تُعرض. الأيام بعد سماعها: { $shown }.
kept-published = رسالة منشورة. الأيام بعد انتهاء قضيتها: { $shown }.
about-numbers = كيف نعدّ
about-numbers-five = تُقرّب الأعداد نزولًا إلى الخمسات، ولا تظهر الأعداد الأقل من خمسة، حتى لا يُعرف أحد منها.
about-numbers-booth-day = يوم الكشك هو 24 ساعة كان فيها كشك جاهزًا. الأماكن التي يبقى فيها كشك طويلًا تصلها رسائل أكثر، لذلك يظهر بجانبها عدد الرسائل لكل يوم كشك.
about-numbers-sources = تُعدّ رسائل الأكشاك والإنترنت والهاتف والورش كل على حدة.
about-numbers-votes = نعدّ الأصوات المُدلى بها لا الأشخاص.
about-numbers-machine = قد تكتب آلة مسودة. لا تُنشر إلا بعد أن يصححها إنسان.
about-notice = ما يقوله الكشك قبل أن تتكلم
about-licence = الرخصة
about-contact = للتواصل
data-lead = كل ما نُشر يستطيع أي أحد أن يأخذه ويستخدمه بلا استئذان.
data-all = تنزيل الكل (ZIP)
data-address = العنوان ثابت:
data-files = الملفات
data-columns = الأعمدة (بالإنجليزية)
data-not = ليس هنا شيء استُرجع أو لم يُنشر.
data-five = الأعداد مقرّبة نزولًا إلى الخمسات، والوقت هو اليوم والجزء من اليوم.
data-stays = رقم الرسالة هو نفسه في كل إصدار.
data-withdrawn = إن كنت قد أخذت البيانات من قبل فاحذف الأرقام الموجودة في withdrawn.csv.
data-readme-md = معنى كل ملف وكل عمود.
data-changes-md = ما تغيّر في الأعمدة ومتى.
data-datapackage-json = وصف للبرامج (Frictionless Data Package).
data-catalog-jsonld = وصف لفهارس البيانات (DCAT-AP).
data-messages-csv = الرسائل المنشورة بنصها وموضوعها ومنطقتها ويومها.
data-counts-by-area-day-csv = أعداد الرسائل حسب المنطقة واليوم.
data-votes-csv = الأصوات المُدلى بها حسب السؤال والخيار.
data-placements-geojson = أين وقفت الأكشاك ومتى.
data-areas-geojson = مناطق المدينة.
data-comments-csv = الرسائل بالصيغة التي يقرؤها Polis.
data-exposure-csv = كم كان كل كشك جاهزًا، حسب المكان واليوم.
data-withdrawn-csv = أرقام رسائل استُرجعت ويجب حذفها.
print-scan = أجب من هاتفك:
print-code = رمز لكاميرا الهاتف؛ العنوان مكتوب أدناه
print-write = اكتب هنا رأيك:
print-back = عودة إلى القضية
kiosk-said = قيل في المدينة
kiosk-speak = تكلم هنا
kiosk-slide = { $slide } من { $of }
kiosk-steer = التحكم في العرض
kiosk-stop = أوقف العرض
kiosk-go = تابع العرض
kiosk-next = التالي
fault-sealed = الرسالة مختومة بمفتاح غير موجود هنا. تُفتح حيث يوجد المفتاح.
fault-busy = يوجد ازدحام الآن. حاول مرة أخرى بعد لحظة.
fault-no-sound = لا يوجد في الرسالة صوت يمكن سماعه ({ $why }).
fault-nothing-left = لا يوجد في الرسالة صوت: فقد قُصّ كله.

## draw
chart-table = اعرض الأعداد في جدول
chart-svg = تنزيل SVG
chart-csv = تنزيل CSV
map-title = أين يتكلم الناس
map-what = الرسائل الموجودة هنا حسب المنطقة. يبيّن اللون رسائل الأكشاك لكل يوم كشك. المنطقة المخططة لم يكن فيها كشك: وهذا ليس صفرًا.
map-per-day = رسائل الأكشاك لكل يوم كشك
map-messages = كل الرسائل
map-no-booth = بلا كشك
map-unsaid = كشك، لكن الرسائل أقل من أن تُذكر بعدد
map-booth-now = يقف هنا كشك الآن
themes-title = عمّا يتكلم الناس
themes-what = رسائل سمعها إنسان أو قرأها، حسب الموضوع. قد يكون للرسالة أكثر من موضوع.
themes-others = { $n ->
    [one] موضوع آخر
    [two] موضوعان آخران
    [few] { $shown } مواضيع أخرى
   *[other] { $shown } موضوعًا آخر
 }
weeks-title = الرسائل عبر الزمن
weeks-what = الرسائل الواردة كل أسبوع حسب مصدرها.
weeks-what-months = الرسائل الواردة كل شهر حسب مصدرها.
trends-title = المواضيع عبر الزمن
trends-what = رسائل كل موضوع من أكثر المواضيع تكرارًا عبر الزمن. لكل الأعمدة المقياس نفسه؛ العدد عند ▲ هو الأعلى.
hours-title = متى يتكلم الناس
hours-what = رسائل الأكشاك حسب يوم الأسبوع والساعة، كل ساعتين معًا.
hours-hour = الساعة
matrix-title = المواضيع والمناطق
matrix-what = رسائل سمعها إنسان أو قرأها، حسب الموضوع والمنطقة. أسماء المواضيع تحت الأرقام.
path-title = مسار القضية
path-what = مما سُمع إلى ما تقرّر.
path-station = المحطة
path-counts = ما يعدّه الرقم
path-heard = سُمع
path-heard-n = رسائل واردة.
path-withdrawn = استُرجعت: { $shown }
path-moderated = رُوجع
path-moderated-n = رسائل بتّ فيها إنسان
path-grouped = جُمع
path-grouped-n = { $n ->
    [one] رسائل جُمعت في مقترح واحد
    [two] رسائل جُمعت في مقترحين
    [few] رسائل جُمعت في { $shown } مقترحات
   *[other] رسائل جُمعت في { $shown } مقترحًا
 }
path-voted = صُوّت
path-voted-n = أصوات مُدلى بها
path-decided = تقرّر
path-decided-n = ردود أو قرارات
votes-title = الأصوات المُدلى بها
votes-what = أصوات مُدلى بها: { $shown }
votes-what-open = أصوات مُدلى بها حتى الآن، مقرّبة نزولًا إلى الخمسات: { $shown }
votes-option = الخيار

## home
home-code = رمزك لمرة واحدة
home-code-how = الأرقام العشرة على ورقتك. يُحتسب الرمز مرة واحدة: هنا أو في كشك هاتف.
home-code-missing = اكتب الأرقام العشرة لرمزك. من دون رمز لا يُحتسب هذا الصوت.
home-code-wrong = أحد أرقام الرمز خطأ. قارنه بالورقة.
home-code-used = استُخدم هذا الرمز من قبل، هنا أو في كشك هاتف، ولم يُحفظ شيء الآن. يُحتسب الرمز مرة واحدة.
home-code-unknown = لا يوجد رمز كهذا لهذا التصويت، ولم يُحفظ شيء. قارنه بالورقة: ربما يخص تصويتًا آخر.
home-code-too-many = وردت من هنا عدة رموز غير صحيحة، ولم يُحفظ شيء. انتظر عشر دقائق أو صوّت في كشك هاتف.
home-title = أجب من بيتك
home-title-vote = صوّت من بيتك
home-back = عودة إلى السؤال
home-hear-question = اسمع السؤال
home-notice-title = اقرأ هذا أولًا
home-notice-what = تسأل { $city }، وهنا يمكنك أن تجيب من غير أن تذهب إلى كشك هاتف. لست ملزمًا بالإجابة. لا تقل ما قد يؤذي غيرك، ولا تذكر أسماء أشخاص آخرين.
home-notice-who = يقرأ موظفون في { $city } إجابتك أو يسمعونها قبل أن يُنشر أي شيء منها.
home-notice-who-partners = يقرأ موظفون في { $city } إجابتك أو يسمعونها قبل أن يُنشر أي شيء منها. وكذلك: { $listeners }.
home-notice-kept = تُحفظ إجابتك مدة { $kept } ثم تُحذف.
home-notice-kept-ask = يمكنك أن تسألنا كم تُحفظ إجابتك.
home-notice-back = بعد أن ترسل إجابتك تأخذ إيصالًا من اثني عشر رقمًا. به يمكنك استرجاع الإجابة هنا أو في كشك هاتف. بلا إيصال لا نستطيع أن نعرف أي إجابة هي لك.
home-notice-no-trace = لا تضع هذه الصفحة ملفات تعريف ولا تتعقبك. لا يُكتب عنوانك على الشبكة؛ يُتذكَّر بضع دقائق فقط حتى لا يرسل أحد إجابات بكميات كبيرة.
home-notice-contact = أسئلة؟ اسأل: { $contact }.
home-consent = قرأت هذا وأريد أن أجيب.
home-choose = اختر إجابة
home-write = اكتب إجابتك
home-write-how = { $letters } حرفًا على الأكثر. أو قلها أدناه.
home-speak = أو قلها
home-speak-how = { $seconds } ثانية على الأكثر. يمكنك أن تسمعها أو تعيدها أو تحذفها قبل الإرسال. لا يغادر شيء جهازك قبل أن تضغط «راجعها».
home-file = أو اختر ملف صوت
home-file-how = تسجيل من هاتفك أو حاسوبك، { $seconds } ثانية على الأكثر.
home-own = إجابتك
home-area = عن أي جزء من المدينة تتكلم؟
home-area-none = أفضّل ألا أقول
home-area-how = فقط إن أردت.
home-code = الرمز
home-code-how = الرمز مكتوب على الرسالة أو الملصق الذي أُعطي لك. يصلح لصوت واحد.
home-look = راجعها
home-look-how = لا يُرسل شيء قبل أن تراجع وتقول نعم.
home-js-wait = لحظة …
home-js-record = سجّل
home-js-stop = قف
home-js-delete = احذف التسجيل
home-js-again = سجّل مرة أخرى
home-js-recording = التسجيل جارٍ. اضغط «قف» عندما تنتهي.
home-js-recorded = انتهى التسجيل. يمكنك أن تسمعه هنا أو تسجّل مرة أخرى أو تحذفه.
home-js-deleted = حُذف التسجيل.
home-js-limit = انتهى الوقت وتوقف التسجيل.
home-js-denied = لا يُسمح للمتصفح باستخدام الميكروفون. اسمح به في المتصفح، أو اكتب إجابتك، أو اختر ملف صوت.
home-js-none = لا يوجد ميكروفون. اكتب إجابتك أو اختر ملف صوت.
home-review = هل هذا صحيح؟
home-review-how = لم يُرسل شيء بعد. بعد الإرسال لا يمكنك التغيير، لكن يمكنك الاسترجاع.
home-length = { $n ->
    [one] ثانية واحدة.
    [two] ثانيتان.
    [few] { $n } ثوانٍ.
   *[other] { $n } ثانية.
  }
home-publish = هل يجوز نشرها؟
home-publish-how = علّم ما توافق عليه. بلا علامة لا تُنشر، لكنها تُعدّ.
home-publish-text = يجوز نشر النص.
home-publish-spoken-text = يجوز نشر ما أقوله نصًا.
home-publish-voice = يجوز نشر صوتي.
home-send = أرسل
home-change = غيّرها
home-again = قلها مرة أخرى
home-discard = احذفها
home-thanks = شكرًا
home-thanks-what = حُفظت إجابتك. ينظر فيها أحد الموظفين قبل أن يُنشر أي شيء.
home-thanks-vote = حُفظ صوتك.
home-receipt = إيصالك
home-receipt-how = اكتبه الآن. يظهر هذه المرة فقط، وليس عند أحد غيرك. به يمكنك استرجاع الإجابة هنا أو في كشك هاتف.
home-copy = انسخ
home-copied = نُسخ الإيصال.
home-print = اطبع
home-no-receipt = لا يستطيع هذا المركز إعطاء إيصالات. إن أردت حذف إجابتك فاكتب لنا متى أرسلتها.
home-discarded = حُذفت
home-discarded-what = لم يُرسل شيء ولم يُحفظ شيء.
home-anew = أجب من جديد
home-closed = لا يمكن الإجابة عن هذا السؤال الآن. تعرض صفحة السؤال ما قيل.
home-stopped = أوقفت المدينة هذا السؤال، ولا تُقبل إجابات عنه. لم يُحفظ شيء منك.
home-no-consent = علّم أنك قرأت النص في الأعلى وتريد أن تجيب.
home-no-choice = اختر إحدى الإجابات.
home-nothing = اكتب إجابتك أو قلها. لا يوجد شيء بعد.
home-both = كتبت وتكلمت معًا. أرسل إجابة واحدة كل مرة: احذف النص أو التسجيل.
home-text-too-long = النص طويل جدًا: { $letters } حرفًا على الأكثر.
home-too-large = التسجيل كبير جدًا ولم يُحفظ شيء. { $seconds } ثانية على الأكثر؛ احفظه بصيغة M4A أو MP3 أو Opus وحاول مرة أخرى.
home-too-long = التسجيل طويل جدًا ولم يُحفظ شيء. { $seconds } ثانية على الأكثر: قلها باختصار أو أرسل إجابتين.
home-too-short = التسجيل قصير جدًا ولم يُحفظ شيء. اضغط «سجّل» وقل إجابتك ثم اضغط «قف».
home-silent = لا يُسمع شيء في التسجيل ولم يُحفظ شيء. انظر هل الميكروفون مكتوم وحاول مرة أخرى.
home-broken = التسجيل تالف أو لم يصل كاملًا، ولم يُحفظ شيء. حاول مرة أخرى.
home-no-sound = ليس هذا ملف صوت نستطيع قراءته، ولم يُحفظ شيء. استخدم M4A أو MP3 أو WAV أو WebM أو Ogg.
home-busy = كثيرون يجيبون في هذه اللحظة. لم يُحفظ شيء؛ حاول بعد لحظة.
home-away = لم يمكن حفظ الإجابة الآن ولم يُحفظ شيء. حاول بعد لحظة.
home-refused = لم تُقبل الإجابة ولم يُحفظ شيء. انظر في صفحة السؤال هل ما زالت الإجابة ممكنة.
home-unread = لم تصل الاستمارة كاملة ولم يُحفظ شيء. حاول مرة أخرى.
home-old = بقيت الصفحة مفتوحة طويلًا ولم يُحفظ شيء. راجع إجابتك مرة أخرى.
home-used = أُرسل هذا من قبل. إن رأيت إيصالًا فإجابتك محفوظة. وإلا فراجعها هنا وأرسلها مرة أخرى.
home-waited = انتظر التسجيل طويلًا فحُذف. قلها مرة أخرى.
home-notice-changed = تغيّر النص في الأعلى ولم يُحفظ شيء. اقرأه مرة أخرى ثم أرسل.
home-too-many = وصلت من هنا إجابات كثيرة في وقت قصير. لم يُحفظ شيء؛ انتظر بضع دقائق وحاول مرة أخرى.
home-too-many-bare = وصلت إجابات كثيرة بلا برنامج نصي في وقت قصير. لم يُحفظ شيء؛ انتظر بضع دقائق أو شغّل JavaScript وحاول مرة أخرى.

## withdraw
withdraw-title = استرجع رسالة
withdraw-lead = أخذت إيصالًا من اثني عشر رقمًا عندما تكلمت أو كتبت أو صوّت. اكتبه هنا فتُحذف الرسالة في كل مكان خلال دقيقة.
withdraw-receipt = الإيصال
withdraw-how = اثنا عشر رقمًا. الفراغات لا تهم.
withdraw-do = استرجعها
withdraw-noted = سُجّل ذلك. إن كانت هناك رسالة بهذا الإيصال فستختفي خلال دقيقة. لا نقول هل كانت موجودة.
withdraw-no-receipt = ليس هذا إيصالًا: رقم ناقص أو خاطئ. قارنه بما كتبته.
withdraw-too-many = كانت المحاولات كثيرة. انتظر بضع دقائق وحاول مرة أخرى.
withdraw-another = استرجع رسالة أخرى
withdraw-without = ليس لديك إيصال؟ اكتب لنا المكان واليوم والوقت التقريبي.
withdraw-not-here = لا يوجد هنا مفتاح للمدينة. أدخل رقم الإيصال في كشك هاتف.
